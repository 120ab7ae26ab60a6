export type * from './contract.js'
export { createMemoryBackplane, type MemoryBackplaneOptions } from './memory/backplane.js'
