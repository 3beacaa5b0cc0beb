/** Whether a text has addresses or identities of AWS in it, none of which leave the mirror. */
export function namesTheFarSide(text: string): boolean {
  return /amazonaws|amazonwebservices|\.on\.aws|sgov\.gov|c2s\.ic\.gov|hci\.ic\.gov|adc-e\.uk|cloudfront\.net|arn:aws|X-Amz-/i.test(
    text,
  )
}
