import { Type, type Static } from '@sinclair/typebox'
import { group, Origin } from './fields.js'

/** A color of CSS without functions: a name, or a hexadecimal value. */
const Color = Type.String({
  pattern: '^(#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,32})$',
  description: 'Background of the badge, as a name or a hexadecimal value.'
})

/** Absolute with `http` or `https`, or relative. Any other scheme, such as `javascript`, is refused. */
const LINK = '^(https?://|\\.{1,2}/|/(?![/\\\\]))[^\\s]*$'

/** An address on the origin of the page. Two slashes would name another host. */
const OwnAddress = Type.String({ pattern: '^(\\.{1,2}/|/(?![/\\\\]))[^\\s]*$', maxLength: 2_048 })

const shortText = (description: string) => Type.String({ minLength: 1, maxLength: 64, description })

const DashboardLink = Type.Object({
  label: shortText('Text of the link.'),
  href: Type.String({ pattern: LINK, maxLength: 2_048, description: 'Address of the link.' })
}, { additionalProperties: false })

const DashboardEnvironment = Type.Object({
  label: shortText('Text of the badge, such as `production`.'),
  color: Type.Optional(Color)
}, { additionalProperties: false })

/** The appearance of the page, and the pages that may embed it. */
export const dashboard = group({
  title: Type.String({
    minLength: 1, maxLength: 64, default: 'Mission Control', description: 'Title of the page.'
  }),
  environment: Type.Optional(Type.Composite([DashboardEnvironment], {
    additionalProperties: false,
    description: 'Badge beside the name of the service.'
  })),
  links: Type.Array(DashboardLink, {
    maxItems: 16,
    default: [],
    description: 'Links in the head of the page: objects with `label` and `href`.',
    expected: 'a list of { label, href }, where href starts with http://, https://, / or .'
  }),
  theme: Type.Union([Type.Literal('auto'), Type.Literal('light'), Type.Literal('dark')], {
    default: 'auto',
    description: 'Colours until the visitor chooses; `auto` follows the browser.',
    expected: '"auto", "light" or "dark"'
  }),
  readOnly: Type.Boolean({
    default: false,
    description: 'Hides everything that starts or stops missions. It protects nothing: use `access.authorize` for that.'
  }),
  missionLink: Type.Optional(Type.String({
    pattern: LINK,
    maxLength: 2_048,
    description: 'Address of a page about one mission, for example its trace. `{id}`, `{name}` and `{tag:KEY}` are ' +
      'replaced and encoded.',
    expected: 'an address that starts with http://, https://, / or .'
  })),
  getToken: Type.Optional(Type.Union([Type.Literal('opener'), OwnAddress], {
    description: 'Where the page gets a token for `access`: an address on its own origin that responds with ' +
      '`{ "token": … }`, or `opener`, the window that has opened or embedded the page. The page itself, which ' +
      'contains no missions, is then served without a token.',
    expected: '"opener", or an address that starts with / or .'
  })),
  frameAncestors: Type.Union([
    Type.Literal('self'), Type.Literal('none'), Type.Array(Origin, { minItems: 1, maxItems: 64 })
  ], {
    default: 'self',
    description: 'Pages that may embed the dashboard in a frame: same origin, none, or the listed origins.',
    expected: '"self", "none" or a list of origins such as "https://ops.example.com"'
  })
})
export type DashboardOptions = Static<typeof dashboard>

/**
 * The content of `<meta name="mission-control-config">`, which the page reads when it loads. Addresses are relative to
 * the page.
 */
export interface DashboardConfig {
  title: string
  environment: { label: string, color?: string | undefined } | null
  links: Array<{ label: string, href: string }>
  theme: DashboardOptions['theme']
  readOnly: boolean
  missionLink: string | null
  getToken: string | null
  /** The WebSocket route. */
  webSocketUrl: string
  /** Version of the service. */
  version: string
}
