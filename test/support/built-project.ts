import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { Test } from 'tap'

const real = (path: string): string => pathToFileURL(resolve(fileURLToPath(import.meta.url), '../../../dist', path)).href

/** The smallest built project that the emitter accepts. */
export function builtProject (t: Test): string {
  return t.testdir({
    docs: {
      'options.md': '# Title\n\n<!-- options -->\n<!-- /options -->\n\nAfter.\n',
      'protocol.md': '<!-- protocol-errors --><!-- /protocol-errors -->\n<!-- subscription-errors --><!-- /subscription-errors -->\n<!-- close-codes --><!-- /close-codes -->\n',
      'operations.md': '<!-- alert-options --><!-- /alert-options -->\n<!-- adaptive-options --><!-- /adaptive-options -->\n',
      'metrics.md': '<!-- metrics --><!-- /metrics -->\n',
      'conformance.md': '<!-- conformance-checks --><!-- /conformance-checks -->\n',
      'errors.md': '<!-- error-codes -->\nold\n<!-- /error-codes -->\n'
    },
    dist: {
      schemas: {
        'index.js': `
          const word = (text) => ({ type: 'string', const: text })
          const net = { type: 'string', const: 'net' }
          export const CLIENT_MESSAGES = { ping_pong: { type: 'object', properties: {
            side: { anyOf: [{ anyOf: [word('left'), word('right')] }, net] },
            score: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
            notes: { type: 'object', patternProperties: { '^(.*)$': { type: 'string' } } },
            sets: { type: 'object', patternProperties: { '^(.*)$': {}, '^[0-9]+$': { type: 'integer' } } }
          } } }
          export const SERVER_MESSAGES = { pong: { type: 'object' } }
          export const PROTOCOL_ERRORS = { bad: 'Bad.' }
          export const SUBSCRIPTION_ERRORS = { worse: 'Worse.' }
          export const CLOSE_CODES = { closing: { code: 1001, reconnect: 'later', meaning: 'Bye.' } }
          export const ENVIRONMENT = { BEAT_MS: ['timers', 'beatMs'] }
          export const Options = { properties: {
            timers: { properties: { beatMs: { type: 'integer', minimum: 1, maximum: 5, default: 1000, description: 'Time between beats.' } } },
            path: { type: 'string', pattern: '^(a|b)$', maxLength: 9, description: 'Where.' },
            websocket: { properties: { path: { type: 'string', pattern: '^/$', maxLength: 1, default: '/', description: 'Where.' } } },
            server: { properties: {
              name: { type: 'string', minLength: 1, maxLength: 2, default: 'me', description: 'Who.' },
              version: { type: 'string', minLength: 1, maxLength: 2, default: '1', description: 'Which.' }
            } },
            alerts: { properties: {
              adaptive: { properties: { keen: { type: 'integer', minimum: 1, maximum: 5, default: 1, description: 'How keen.' } } },
              rules: { properties: { health_component: { properties: { holdMs: { type: 'integer', minimum: 1, maximum: 5, default: 1, description: 'How long.' } } } } }
            } }
          } }
          export const MissionQuery = { type: 'object', properties: { score: { type: 'integer' } } }
          export const MissionView = { type: 'object', properties: { page: MissionQuery } }
        `,
        'http.js': "export const ScoreResponse = { type: 'object', properties: { scores: { type: 'array', items: { type: 'integer' } } } }"
      },
      lib: {
        'index.js': "export default async (app) => { app.get('/score', { schema: { summary: 'The score' } }, async () => ({})) }",
        prometheus: {
          metrics: {
            'plugin-metrics.js': "export const describeSections = (prefix) => [{ title: 'Games', metrics: [{ name: prefix + 'games_total', type: 'counter', help: 'Games.', query: 'rate(METRIC[5m])' }] }]",
            'process-metrics.js': 'export const describeScrape = () => []'
          }
        },
        conformance: { checks: { 'index.js': "export const CHECKS = [{ name: 'one-word', demands: 'A word | one.' }]" } },
        contract: {
          'json-schema.js': `export * from '${real('lib/contract/json-schema.js')}'`,
          'asyncapi.js': "export const createAsyncApi = (setup) => ({ asyncapi: '3.0.0', ...setup })"
        },
        base: {
          'options.js': `export const describeBounds = ({ type, pattern, maxLength, minimum, maximum }) => pattern === undefined
            ? type === 'string' ? 'text' : 'a whole number from ' + minimum + ' to ' + maximum
            : 'a string that matches ' + pattern + ', at most ' + maxLength + ' characters'`,
          'errors.js': "import createError from '@fastify/error'\nexport const Bad = createError('FST_MC_BAD', '%s is bad', 503)\nexport const isBad = () => true",
          'errors.d.ts': '/** Something is bad. */\nexport declare const Bad: unknown;\n'
        }
      }
    }
  })
}
