import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Bytes after gzip: in total, and before the first chart is loaded. */
export async function readSizes () {
  const { entry, assets } = await import(pathToFileURL(resolve('dist/dashboard/assets.js')).href)
  const first = new Set([entry.script, entry.style, ...entry.preload])
  const sum = (list) => list.reduce((total, [, gzip]) => total + Buffer.from(gzip, 'base64').length, 0)
  return { firstBytes: sum(assets.filter(([name]) => first.has(name))), bytes: sum(assets) }
}
