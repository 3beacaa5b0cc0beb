/** An ARN (AWS, "Amazon Resource Names"), as far as one in a text of AWS can be told from what stands around it. */
const ARN = /\barn:aws[a-z-]{0,20}:[a-z0-9-]{1,40}:[a-z0-9-]{0,40}:\d{0,12}:[\w+=,.@:/*-]{1,400}/g
const MOST = 8

/** The ARNs that a text names, each once: of a denial, who was denied and what of. */
export function arnsIn(text: string): string[] {
  const found = text.slice(0, 64 * 1024).match(ARN) ?? []
  return [...new Set(found.map(arn => arn.replace(/[.,:]+$/, '')))].slice(0, MOST)
}
