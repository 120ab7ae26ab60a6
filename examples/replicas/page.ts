import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'

const PAGE = `<!doctype html>
<title>Replicas</title>
<p id="state"></p>
<ol id="steps"></ol>
<script type="module">
  import { connect } from '/package/lib/client/index.js'

  const client = window.client = connect('/ws/mission-control', { storage: sessionStorage })
  const steps = window.steps = []
  const list = document.getElementById('steps')
  const show = (text) => list.append(Object.assign(document.createElement('li'), { textContent: text }))
  client.on('state', ({ state, cause }) => { document.getElementById('state').textContent = state + ': ' + cause })
  client.on('gap', ({ cause }) => steps.push({ gap: cause }))
  client.on('mission_update', (update) => {
    steps.push(update)
    show(update.name + ' ' + update.status + ' ' + (update.note?.text ?? ''))
  })
</script>
`

/** The modules of the client, as the package has them. A page of your own would rather have them bundled. */
const MODULE = /^(lib\/client\/[\w/-]+|schemas\/checksum)\.js$/

/** Adds a page that shows every step of every mission. */
export function addPage (app: FastifyInstance): void {
  app.get('/', async (_request, reply) => await reply.type('text/html').send(PAGE))
  app.get<{ Params: { '*': string } }>('/package/*', async ({ params: { '*': path } }, reply) => {
    if (!MODULE.test(path)) return await reply.code(404).send()
    const file = new URL(`../../${path}`, import.meta.resolve('fastify-mission-control/client'))
    return await reply.type('text/javascript').send(await readFile(file, 'utf8'))
  })
}
