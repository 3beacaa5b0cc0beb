import t from 'tap'
import { fileSystemKind } from '../../src/check/file-system-kind.js'

t.test(
  'file systems behind a network, in memory or in a container are objected to, others are not',
  async t => {
    for (const [type, name] of [
      [0x6969, 'NFS'],
      [0xff534d42, 'CIFS'],
      [0xff534d42 | 0, 'CIFS'],
      [0xfe534d42, 'SMB2'],
    ] as const)
      t.match(fileSystemKind(type), { name, objection: /network/ })
    t.match(fileSystemKind(0x65735546), { name: 'FUSE', objection: /not known/ })
    t.match(fileSystemKind(0x01021994), { name: 'tmpfs', objection: /memory/ })
    t.match(fileSystemKind(0x794c7630), { name: 'overlay', objection: /container/ })
    t.same(fileSystemKind(0xef53), { name: 'ext4' })
    t.same(fileSystemKind(0x12345), { name: 'file system 0x12345' })
  },
)
