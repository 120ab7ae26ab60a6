import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Missions, MissionStatus, ReportDetails, ReportResult } from 'fastify-mission-control'
import { EVENTS, type Call } from './mapping.js'

/** Far larger than the payloads of the events that become missions. */
const MAX_BYTES = 1_048_576

/** Adds `POST /hooks/github`. Without a secret, signatures are not checked. */
export async function githubHook (app: FastifyInstance, { secret }: { secret?: string | undefined }): Promise<void> {
  // The signature covers the raw bytes, so parse them only after it has been verified.
  app.addContentTypeParser('application/json', { parseAs: 'buffer', bodyLimit: MAX_BYTES }, (_request, body, done) => {
    done(null, body)
  })
  app.post<{ Body: Buffer | undefined }>('/hooks/github', async ({ headers, body = Buffer.alloc(0), log }, reply) => {
    if (secret !== undefined && !isSigned(body, secret, headers['x-hub-signature-256'])) {
      return await reply.code(401).send({ error: 'bad_signature' })
    }
    const payload = parse(body)
    if (payload === undefined) return await reply.code(400).send({ error: 'not_json' })
    const { 'x-github-event': event, 'x-github-delivery': delivery } = headers
    const calls = EVENTS.get(event)?.(payload, Date.now()) ?? []
    const results = calls.flatMap((call) => apply(app.missions, call))
    log.info({ event, delivery, results })
    return await reply.code(202).send(calls.length === 0 ? { ignored: true } : { results })
  })
}

function isSigned (body: Buffer, secret: string, header: unknown): boolean {
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`)
  const actual = Buffer.from(String(header))
  return actual.length === expected.length && timingSafeEqual(actual, expected)
}

/** Returns the payload, or `undefined` if it is not JSON: the message of a syntax error would quote the payload. */
function parse (body: Buffer): unknown {
  try {
    return JSON.parse(body.toString()) as unknown
  } catch {
    return undefined
  }
}

/** Adds a note only once, because deliveries are repeated, and not for an earlier attempt. */
function apply (missions: Missions, { id, status, details, note }: Call): ReportResult[] {
  const result = report(missions, id, status, details)
  const isStale = !result.applied && result.reason === 'stale'
  const isKnown = missions.get(id)?.view().notes.some(({ text }) => text === note) === true
  return note === undefined || isStale || isKnown ? [result] : [result, missions.note(id, note)]
}

function report (missions: Missions, id: string, status: MissionStatus, details: ReportDetails): ReportResult {
  try {
    return missions.report(id, status, details)
  } catch (err) {
    // If a clock is wrong, the times of a late delivery may contradict those of an earlier one.
    if ((err as { code?: string }).code !== 'FST_MC_INVALID_TIME') throw err
    return missions.report(id, status, { ...details, queuedAt: null, startedAt: null, endedAt: null })
  }
}
