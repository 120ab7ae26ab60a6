import { gunzipSync } from 'node:zlib'
import { DashboardMissing } from '../../base/errors.js'
import type { IndexFiles } from './index-page.js'

export interface Asset { type: string, gzip: Buffer, plain: () => Buffer }

export interface Bundle { entry: IndexFiles, assets: ReadonlyMap<string, Asset> }

interface BundleModule { entry: IndexFiles, assets: ReadonlyArray<readonly [name: string, gzip: string]> }

const TYPES: Record<string, string> = {
  js: 'text/javascript; charset=utf-8', css: 'text/css; charset=utf-8', svg: 'image/svg+xml'
}

/**
 * Loads the page at the first request, so that a service without visitors spends no time and memory on it.
 */
export class BundleLoader {
  readonly #load: () => Promise<BundleModule>
  #bundle: Promise<Bundle> | undefined

  constructor (load: () => Promise<BundleModule> = async () => await import('#dashboard')) {
    this.#load = load
  }

  /** @throws FST_MC_DASHBOARD_MISSING if the files of the package are incomplete; the next call tries again */
  async get (): Promise<Bundle> {
    this.#bundle ??= this.#read().catch((cause: unknown) => {
      this.#bundle = undefined
      throw Object.assign(new DashboardMissing(), { cause })
    })
    return await this.#bundle
  }

  async #read (): Promise<Bundle> {
    const { entry, assets } = await this.#load()
    return { entry, assets: new Map(assets.map(([name, gzip]) => [name, readAsset(name, gzip)])) }
  }
}

// Nearly every client accepts gzip, so plain content is created on demand, and only once.
function readAsset (name: string, base64: string): Asset {
  const gzip = Buffer.from(base64, 'base64')
  let plain: Buffer | undefined
  const unpack = () => {
    plain ??= gunzipSync(gzip)
    return plain
  }
  return { type: TYPES[name.split('.').at(-1)!]!, gzip, plain: unpack }
}
