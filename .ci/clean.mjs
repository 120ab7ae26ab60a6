import { rmSync } from 'node:fs'

// Stale output of a deleted source would be packed and published.
for (const folder of process.argv.slice(2)) rmSync(folder, { recursive: true, force: true })
