/** What a kind of file system is called, and what speaks against a cache on it. */
export interface FileSystemKind {
  readonly name: string
  readonly objection?: string
}

const OVER_NETWORK = 'it lies behind a network: syncs are slow or say too little, and locks may not hold'
const IN_MEMORY = 'it is in memory: the cache takes the memory of the mirror, and is gone with the machine'

/** By the type that statfs(2) tells; linux/magic.h and the file systems' own sources. */
const KINDS: Readonly<Record<number, FileSystemKind>> = {
  0x6969: { name: 'NFS', objection: OVER_NETWORK },
  0x517b: { name: 'SMB', objection: OVER_NETWORK },
  0xff534d42: { name: 'CIFS', objection: OVER_NETWORK },
  0xfe534d42: { name: 'SMB2', objection: OVER_NETWORK },
  0x00c36400: { name: 'Ceph', objection: OVER_NETWORK },
  0x5346414f: { name: 'AFS', objection: OVER_NETWORK },
  0x01021997: { name: '9P', objection: OVER_NETWORK },
  0x65735546: { name: 'FUSE', objection: 'what is behind it is not known; often a network' },
  0x01021994: { name: 'tmpfs', objection: IN_MEMORY },
  0x858458f6: { name: 'ramfs', objection: IN_MEMORY },
  0x794c7630: {
    name: 'overlay',
    objection: "it is a container's own layer: the cache is gone with the container",
  },
  0xef53: { name: 'ext4' },
  0x58465342: { name: 'XFS' },
  0x9123683e: { name: 'Btrfs' },
  0x2fc12fc1: { name: 'ZFS' },
  0xf2f52010: { name: 'F2FS' },
}

/** `type` as statfs(2) gives it; negative where it was widened with its sign. */
export function fileSystemKind(type: number): FileSystemKind {
  const magic = type >>> 0
  return KINDS[magic] ?? { name: `file system 0x${magic.toString(16)}` }
}
