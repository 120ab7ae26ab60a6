// Stationary noise: every alert on it is a false one.
const SEEDS = 60
const LEARNED_AFTER = 3_000
const SAMPLES = 20_000

/** A generator of numbers in [0, 1) that depend on the seed alone (mulberry32). */
function createRandom (seed) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

const gaussian = (random) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

function poisson (random, mean) {
  let count = 0
  for (let product = random(); product > Math.exp(-mean); product *= random()) count++
  return count
}

/** Each creates a signal as a service has it: a function that returns the next sample. */
const SIGNALS = {
  gaussian: (random) => () => 100 + 10 * gaussian(random),
  autoregressive (random) {
    let value = 0
    return () => 100 + 10 * (value = 0.9 * value + gaussian(random))
  },
  lognormal: (random) => () => Math.exp(5 + 0.5 * gaussian(random)),
  poisson: (random) => () => poisson(random, 3),
  'mostly zero': (random) => () => random() < 0.95 ? 0 : 0.02 * random()
}

/** Alerts per 10,000 samples of noise, by signal and as their mean, while the envelope is young and afterwards. */
export function measureNoise (createEnvelope) {
  const rows = Object.entries(SIGNALS).map(([name, create]) => [name, measureSignal(create, createEnvelope)])
  const mean = (age) => rows.reduce((sum, [, row]) => sum + row[age], 0) / rows.length
  return { ...Object.fromEntries(rows), mean: { young: mean('young'), learned: mean('learned') } }
}

function measureSignal (create, createEnvelope) {
  const alerts = { young: 0, learned: 0 }
  for (let seed = 1; seed <= SEEDS; seed++) {
    const next = create(createRandom(seed))
    const envelope = createEnvelope()
    for (let i = 0; i < SAMPLES; i++) {
      if (envelope.push(next(), i * 60_000).alert) alerts[i < LEARNED_AFTER ? 'young' : 'learned']++
    }
  }
  const per10k = (count, samples) => 10_000 * count / (SEEDS * samples)
  return { young: per10k(alerts.young, LEARNED_AFTER), learned: per10k(alerts.learned, SAMPLES - LEARNED_AFTER) }
}
