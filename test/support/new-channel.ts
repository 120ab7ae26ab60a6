import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './sources.js'

/** One numbered step of a section: the files it names, and its code block. */
export interface Step { files: string[], code: string }

/** The numbered steps below a heading of docs/architecture.md. */
export function readSteps (heading: string): Step[] {
  const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')
  const section = page.split(`\n## ${heading}\n`)[1]?.split(/\n###? /)[0] ?? ''
  return section.split(/^\d+\. /m).slice(1).map((text) => ({
    files: [...text.split('```')[0]!.matchAll(/`((?:lib|schemas)\/[\w/-]+\.ts)`/g)].map(([, file]) => file!),
    code: (/```ts\n([^]*?)```/.exec(text)?.[1] ?? '').replace(/^ {3}/gm, '').trim()
  }))
}

/** Copies the sources into `folder` and follows the steps for a channel `queue_depth` there. */
export function addChannel (folder: string, steps: readonly Step[]): void {
  for (const path of ['lib', 'schemas', 'package.json', 'tsconfig.json', 'tsconfig.build.json']) cpSync(join(root, path), join(folder, path), { recursive: true })
  const [payload, payloadEntry, messageEntry, channel, channelEntry] = steps.map(({ code }) => code)
  const create = (path: string, text: string) => writeFileSync(join(folder, path), text)
  const edit = (path: string, change: (text: string) => string) => create(path, change(readFileSync(join(folder, path), 'utf8')))

  create('schemas/channels/queue-depth.ts', payload!)
  edit('schemas/channels/index.ts', (text) => `import { QueueDepth } from './queue-depth.js'\n${insert(text, 'CHANNEL_PAYLOADS = {', payloadEntry!)}`)
  edit('schemas/index.ts', (text) => `${text}export * from './channels/queue-depth.js'\n`)
  edit('schemas/messages/server-messages.ts', (text) => insert(text, 'SERVER_MESSAGES = {', messageEntry!))
  create('lib/channels/queue-depth.ts', channel!)
  edit('lib/channels/index.ts', (text) => `import { createQueueDepthChannel } from './queue-depth.js'\n${insert(text, 'const channels = [', channelEntry!)}`)
  edit('lib/contract/descriptions.ts', (text) => {
    const described = insert(text, 'SERVER_MESSAGE_TEXTS: Readonly<Record<ServerMessageType, string>> = {', "queue_depth: 'The depth of a queue.'")
    return insert(described, 'PAYLOAD_TEXTS: Readonly<Record<ChannelName, string>> = {', "queue_depth: 'How many jobs wait.'")
  })
  edit('lib/client/channels.ts', (text) => text.replace("'mission_stats'", "'mission_stats', 'queue_depth'"))
}

/** Adds an entry at the beginning of a list or object. */
function insert (text: string, beginning: string, entry: string): string {
  const [before, after] = text.split(beginning)
  if (after === undefined) throw new Error(`there is no ${beginning}`)
  return `${before}${beginning}\n  ${entry.replace(/,$/, '')},${after}`
}
