/** All of 127.0.0.0/8 is the loopback on Linux, so that who attacks and who does not have addresses of their own. */
export const ATTACKER_ADDRESS = '127.0.0.2'
export const BYSTANDER_ADDRESS = '127.0.0.3'
export const OWNER_ADDRESS = '127.0.0.4'
