/** Returns `document` with `text` between `<!-- marker -->` and `<!-- /marker -->`, or undefined unless it contains each exactly once, in this order. */
export function fillSection (document, marker, text) {
  const [head, body, ...more] = document.split(`<!-- ${marker} -->`)
  if (body === undefined || more.length > 0) return undefined
  const [, tail, ...rest] = body.split(`<!-- /${marker} -->`)
  if (tail === undefined || rest.length > 0) return undefined
  return `${head}<!-- ${marker} -->\n\n${text}\n\n<!-- /${marker} -->${tail}`
}

/** Describes the first line in which two texts differ. */
export function firstDifference (before, after) {
  if (before === undefined) return 'the file is missing'
  const old = before.split('\n')
  const line = after.split('\n').findIndex((text, index) => text !== old[index])
  return `first at line ${line === -1 ? after.split('\n').length : line + 1}`
}
