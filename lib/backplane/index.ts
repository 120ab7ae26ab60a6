export type * from './contract.js'
export {
  backplaneConformance, type BackplaneCheck, type BackplaneConformanceOptions
} from './conformance/conformance.js'
export { decide, ownerAfter } from './lifecycle.js'
export { createMemoryBackplane, type MemoryBackplaneOptions } from './memory/backplane.js'
