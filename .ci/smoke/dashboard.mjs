import assert from 'node:assert/strict'
import { gunzipSync } from 'node:zlib'
import Fastify from 'fastify'
import missionControl from 'fastify-mission-control'

const app = Fastify()
await app.register(missionControl)
const page = await app.inject('/mission-control/')
assert.equal(page.statusCode, 200)
const paths = [...page.body.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, path]) => path)
for (const ending of ['.js', '.css', '.svg']) assert.ok(paths.some((path) => path.endsWith(ending)), ending)
let bytes = 0
for (const path of paths) {
  const { statusCode, headers, rawPayload } = await app.inject({ url: `/mission-control/${path}`, headers: { 'accept-encoding': 'gzip' } })
  assert.equal(statusCode, 200, path)
  assert.match(headers['cache-control'], /immutable/)
  assert.ok(gunzipSync(rawPayload).length > 0)
  bytes += rawPayload.length
}
await app.close()
console.log(`dashboard: ${paths.length} files, ${bytes} bytes compressed`)
