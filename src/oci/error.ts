/** Error codes of the distribution-spec, "Error Codes", with the status each has by default. */
const STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DENIED: 403,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  /** Not of the spec any more, but what ECR and clients still say. */
  TAG_INVALID: 400,
  TOOMANYREQUESTS: 429,
  UNAUTHORIZED: 401,
  UNSUPPORTED: 405,
  /** Not of the spec, but what registries use for a server's own failures. */
  UNKNOWN: 500,
} as const

export type OciErrorCode = keyof typeof STATUS

/**
 * A refusal that has an answer: what is thrown anywhere and written by one writer.
 * Its message reaches people (docker prints it verbatim), so it says what to do and never holds a secret,
 * an address of the far side or its words.
 */
export class OciError extends Error {
  readonly code: OciErrorCode
  readonly status: number
  /** Seconds, for a Retry-After header. */
  readonly retryAfter: number | undefined
  /** Further reply headers, such as Content-Range of a 416. */
  readonly headers: Readonly<Record<string, string>>
  /** JSON that is sent as it is: an upstream's own words, where they are the client's business. */
  readonly #body: string | undefined

  constructor(
    code: OciErrorCode,
    message: string,
    options: {
      status?: number
      retryAfter?: number
      headers?: Readonly<Record<string, string>>
      body?: string
      cause?: unknown
    } = {},
  ) {
    super(message, { cause: options.cause })
    this.name = 'OciError'
    this.code = code
    this.status = options.status ?? STATUS[code]
    this.retryAfter = options.retryAfter
    this.headers = options.headers ?? {}
    this.#body = options.body
  }

  /** The body, as the distribution-spec has it. */
  toBody(): string {
    return this.#body ?? errorBody(this.code, this.message)
  }
}

/** The JSON body of one error. */
export function errorBody(code: string, message: string): string {
  return JSON.stringify({ errors: [{ code, message }] })
}
