/** A seeded source of random choices (mulberry32). The same seed makes the same choices. */
export function createRandom (seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const between = (from, to) => from + next() * (to - from)
  const pick = (list) => list[Math.floor(next() * list.length)]
  const shuffle = (list) => {
    const rest = [...list]
    return list.map(() => rest.splice(Math.floor(next() * rest.length), 1)[0])
  }
  return { next, between, pick, shuffle, chance: (share) => next() < share }
}
