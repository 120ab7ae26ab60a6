/** The bundled page, which `npm run build` generates in `dist/dashboard`; see `.ci/dashboard.mjs`. */
declare module '#dashboard' {
  /** The files that the index loads. `preload`: scripts that the first one imports. */
  export const entry: { script: string, style: string, icon: string, preload: string[] }
  /** Every file: its name, and its content after gzip as Base64. */
  export const assets: Array<[name: string, gzip: string]>
}
