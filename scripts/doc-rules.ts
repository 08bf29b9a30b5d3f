// What check-docs.mjs looks for in one text. It reads no file.

const FOREIGN = [/(?<![\w.~])\/(?:work|root)\//, /"resolved": *"https?:/, /registry=https?:/]

/** Targets of relative links in Markdown `text`, without fragment; code is no link. */
export function relativeLinks(text: string): string[] {
  const prose = text.replaceAll(/```.*?```/gs, '').replaceAll(/`[^`\n]*`/g, '')
  const inline = [...prose.matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)(?:\s+"[^"]*")?\)/g)]
  const named = [...prose.matchAll(/^\[[^\]]+\]:\s+(\S+)/gm)]
  return [...inline, ...named]
    .map((match) => match[1] ?? '')
    .filter((target) => !/^(?:[a-z][a-z+.-]*:|#)/i.test(target))
    .map((target) => decodeURI(target.replace(/#.*$/, '')))
}

/** Names of the scripts that `npm run NAME` and `npm test` in `text` call. */
export function namedScripts(text: string): string[] {
  const run = [...text.matchAll(/\bnpm run (?:--\S+ )*([\w:-]+)/g)].map((match) => match[1] ?? '')
  return /\bnpm test\b/.test(text) ? [...run, 'test'] : run
}

/** Numbers (from 1) of the lines of `text` that hold a path or download host of one machine. */
export function foreignLines(text: string): number[] {
  return text.split('\n').flatMap((line, index) => (FOREIGN.some((pattern) => pattern.test(line)) ? [index + 1] : []))
}
