import { readFile } from 'node:fs/promises'

// What the charts of the page never use, so that the minifier can drop the code behind it: lines of other shapes, dates in
// other formats, the legend, scatter plots, and scales that are not linear. Each text must occur in the source, so that
// somebody looks at a new version of uPlot.
const CHANGES = [
  [/^uPlot\.assign = assign;[^]*(?=^export )/m, 'uPlot.pxRatio = pxRatio;\n'],
  [/(?<=const showLegend = )legend\.show(?=;)/, 'false'],
  [/\bmode == 2\b/g, 'false'],
  [/\b(\w+\.)?distr (== (3|4|100)|>= 3)\b/g, 'false']
]

/** An esbuild plugin that leaves out parts of uPlot. */
export const uplotParts = {
  name: 'uplot-parts',
  setup ({ onLoad }) {
    onLoad({ filter: /uPlot\.esm\.js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8')
      const contents = CHANGES.reduce((text, [part, replacement]) => {
        if (text.search(part) === -1) throw new Error(`uPlot has no ${part}`)
        return text.replace(part, replacement)
      }, source)
      return { contents }
    })
  }
}
