/** The promise's result, or the signal's reason as soon as it aborts; what then becomes of the promise is dropped. */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let leave = (): void => undefined
  const left = new Promise<never>((_resolve, reject) => {
    // The reason is thrown as it is, whatever it is.
    leave = () => reject(signal.reason as Error)
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
  })
  try {
    return await Promise.race([promise, left])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
