import { OciError } from '../oci/error.js'

/** Why a download cannot go on, whatever is tried. */
export class Unrepairable extends Error {
  constructor(readonly reason: Error) {
    super(reason.message, { cause: reason })
    this.name = 'Unrepairable'
  }
}

/** The answer to readers when a source is not to be relied on. */
export function somethingElse(): OciError {
  return new OciError('UNKNOWN', 'ecr-mirror: the upstream sent something else than the bytes of the blob.', {
    status: 502,
  })
}
