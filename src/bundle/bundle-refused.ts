/** A bundle that cannot be taken, or not be made, in words for whoever asked for it. */
export class BundleRefused extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BundleRefused'
  }
}
