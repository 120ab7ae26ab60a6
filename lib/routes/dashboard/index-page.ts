import { createHash } from 'node:crypto'
import type { DashboardConfig, DashboardOptions } from '../../../schemas/options/dashboard.js'

export interface IndexPage { html: string, etag: string }

/** Names of the files that the index loads. */
export interface IndexFiles { script: string, style: string, icon: string, preload: readonly string[] }

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (character) => ENTITIES[character]!)

/** The HTML of the page. All addresses are relative, so that it works under any prefix and behind any proxy. */
export function renderIndex (config: DashboardConfig, { script, style, icon, preload }: IndexFiles): IndexPage {
  const html = [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    `<meta name="mission-control-config" content="${escapeHtml(JSON.stringify(config))}">`,
    `<title>${escapeHtml(config.title)}</title>`,
    `<link rel="icon" href="assets/${icon}">`,
    `<link rel="stylesheet" href="assets/${style}">`,
    ...preload.map((name) => `<link rel="modulepreload" href="assets/${name}">`),
    `<script type="module" src="assets/${script}"></script>`,
    '</head>',
    '<body><noscript>This page needs JavaScript.</noscript></body>',
    '</html>',
    ''
  ].join('\n')
  return { html, etag: `"${createHash('sha256').update(html).digest('base64url').slice(0, 22)}"` }
}

/** The headers of the index. They limit the abilities of scripts in the page. */
export function indexHeaders ({ frameAncestors }: Pick<DashboardOptions, 'frameAncestors'>): Record<string, string> {
  const ancestors = typeof frameAncestors === 'string' ? `'${frameAncestors}'` : frameAncestors.join(' ')
  return {
    'content-security-policy': [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      `frame-ancestors ${ancestors}`,
      "require-trusted-types-for 'script'",
      "trusted-types 'none'"
    ].join('; '),
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff'
  }
}
