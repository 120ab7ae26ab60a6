import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { DashboardConfig, DashboardOptions } from '../../../schemas/options/dashboard.js'
import { AssetNotFound } from '../../base/errors.js'
import { wantsGzip } from '../../prometheus/negotiation.js'
import { describe } from '../describe.js'
import { DASHBOARD_ROUTE } from '../own-route.js'
import { BundleLoader } from './bundle.js'
import { renderIndex, indexHeaders, type IndexPage } from './index-page.js'

export interface DashboardRouteDeps {
  url: string
  /** Path of the WebSocket route, under the same prefix as `url`. */
  webSocketPath: string
  options: DashboardOptions
  version: string
  bundle?: BundleLoader
}

const YEAR_SECONDS = 31_536_000

/** `GET url/` and `GET url/assets/:file`: the page and its files, from memory. `GET url` leads to `url/`. */
export function mountDashboard (app: FastifyInstance, deps: DashboardRouteDeps): void {
  const url = deps.url.replace(/\/$/, '')
  const bundle = deps.bundle ?? new BundleLoader()
  const shared = {
    config: DASHBOARD_ROUTE as object,
    schema: describe({ summary: 'The page', hide: true })
  }
  const index = indexHandler(deps, bundle)
  app.get(`${url}/`, shared, index)
  // Without the slash, the relative addresses of the page would lead to other places.
  if (url !== '' && !app.hasRoute({ method: 'GET', url })) app.get(url, shared, index)
  app.get(`${url}/assets/:file`, shared, async (request, reply) => {
    const { file } = request.params as { file: string }
    const asset = (await bundle.get()).assets.get(file)
    if (asset === undefined) throw new AssetNotFound()
    reply.headers({
      'content-type': asset.type,
      'cache-control': `public, max-age=${YEAR_SECONDS}, immutable`,
      etag: `"${file}"`,
      vary: 'accept-encoding',
      'x-content-type-options': 'nosniff'
    })
    if (isCached(request, `"${file}"`)) return reply.code(304).send()
    if (!wantsGzip(String(request.headers['accept-encoding'] ?? ''))) return asset.plain()
    reply.header('content-encoding', 'gzip')
    return asset.gzip
  })
}

function indexHandler ({ options, ...deps }: DashboardRouteDeps, bundle: BundleLoader) {
  const headers = { ...indexHeaders(options), 'cache-control': 'no-cache' }
  const config = describePage({ options, ...deps })
  let page: IndexPage | undefined
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const [path, ...query] = request.raw.url!.split('?')
    if (!path!.endsWith('/')) return redirect(reply, path!, ['', ...query].join('?'))
    page ??= renderIndex(config, (await bundle.get()).entry)
    reply.headers({ ...headers, 'content-type': 'text/html; charset=utf-8', etag: page.etag })
    return isCached(request, page.etag) ? reply.code(304).send() : page.html
  }
}

// Relative, because a proxy may have removed or added a prefix.
function redirect (reply: FastifyReply, path: string, query: string): FastifyReply {
  const last = path.slice(path.lastIndexOf('/') + 1)
  return reply.redirect(`./${last}/${query}`, 302)
}

function describePage ({ url, webSocketPath, options, version }: DashboardRouteDeps): DashboardConfig {
  const { title, environment = null, links, theme, readOnly, missionLink = null, getToken = null } = options
  const up = '../'.repeat(url.split('/').filter(Boolean).length) || './'
  const webSocketUrl = up + webSocketPath.slice(1)
  return { title, environment, links, theme, readOnly, missionLink, getToken, webSocketUrl, version }
}

const isCached = ({ headers }: FastifyRequest, etag: string): boolean =>
  String(headers['if-none-match'] ?? '').split(',').some((given) => given.trim().replace(/^W\//, '') === etag)
