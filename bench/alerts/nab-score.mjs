// The score of the Numenta Anomaly Benchmark for a detector that emits alerts. Early detections in a labelled window
// earn most, and only the best one counts; alerts outside of windows cost, those soon after a window less.

/** Weights of a found window, a missed window and a false alarm. */
export const PROFILES = {
  standard: { found: 1, missed: 1, falseAlarm: 0.11 },
  lowFalsePositives: { found: 1, missed: 1, falseAlarm: 0.22 },
  lowFalseNegatives: { found: 1, missed: 2, falseAlarm: 0.11 }
}

const PROBATION_SHARE = 0.15
const LONGEST_PROBATION = 750
/** A false alarm within three window lengths after a window costs less than a full one. */
const FORGIVEN_LENGTHS = 3

const sigmoid = (y) => 2 / (1 + Math.exp(5 * y)) - 1

/** Alerts in the first part of a series do not count; a detector may learn there. */
export const probationOf = (rows) => Math.min(Math.floor(PROBATION_SHARE * rows), LONGEST_PROBATION)

/**
 * The score of all series together, 0 for a detector that never alerts and 100 for a perfect one, by profile; and the
 * number of false alarms. Each result is `{ rows, windows, alerts }`: the length of a series, its windows as first and
 * last index, and the indices of the alerts.
 */
export function scoreNab (results) {
  const judged = results.map(judge)
  const windows = results.reduce((sum, result) => sum + result.windows.length, 0)
  const scores = Object.entries(PROFILES).map(([profile, weights]) => [profile, scoreOf(judged, windows, weights)])
  const falseAlarms = judged.reduce((sum, { outside }) => sum + outside.length, 0)
  const found = judged.reduce((sum, { best }) => sum + best.filter((credit) => credit !== undefined).length, 0)
  return { ...Object.fromEntries(scores), falseAlarms, found, windows }
}

function scoreOf (judged, windows, { found, missed, falseAlarm }) {
  let raw = 0
  for (const { best, outside } of judged) {
    for (const credit of best) raw += credit === undefined ? -missed : credit * found
    for (const credit of outside) raw += credit * falseAlarm
  }
  const worst = -missed * windows
  return 100 * (raw - worst) / (found * windows - worst)
}

/** The credit of the best alert in each window, undefined for none, and of each alert outside. */
function judge ({ rows, windows, alerts }) {
  const best = windows.map(() => undefined)
  const outside = []
  for (const row of alerts.filter((row) => row >= probationOf(rows))) {
    const index = windows.findIndex(([first, last]) => first <= row && row <= last)
    if (index < 0) outside.push(creditOutside(row, windows))
    else best[index] = Math.max(best[index] ?? -Infinity, creditInside(row, windows[index]))
  }
  return { best, outside }
}

/** 1 at the first row of a window, almost 0 at the last. */
function creditInside (row, [first, last]) {
  const length = last - first + 1
  return sigmoid(-(last - row + 1) / length) / sigmoid(-1)
}

/** Almost 0 right after a window, down to -1. */
function creditOutside (row, windows) {
  const passed = windows.filter(([, last]) => last < row).at(-1)
  if (passed === undefined) return -1
  const [first, last] = passed
  const lengths = (row - last) / (last - first)
  return lengths <= FORGIVEN_LENGTHS ? sigmoid(lengths) : -1
}
