import { readdir, readFile } from "node:fs/promises"
import path from "node:path"
import { tool } from "@opencode-ai/plugin"

const CITATION = /\[([a-z][a-z0-9-]*\d{4}[a-z]?)\]/g
const ENTRY = /^\s*[-*]\s+\[([^\]]+)\]\s*(.*)$/
const MOST_FILES = 500

interface Source {
  key: string
  line: number
  text: string
}

/** Code blocks and inline code show examples; keys in them are not citations. */
function prose(source: string): string {
  return source.replace(/```[\s\S]*?(```|$)/g, "").replace(/`[^`\n]*`/g, "")
}

function sourcesIn(text: string): Source[] {
  return text.split("\n").flatMap((line, index) => {
    const match = ENTRY.exec(line)
    return match ? [{ key: match[1], line: index + 1, text: match[2] }] : []
  })
}

async function markdownFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((name) => !name.split(path.sep).some((part) => part.startsWith(".") || part === "node_modules"))
    .filter((name) => name !== "AGENTS.md" && name !== "sources.md")
    .sort()
    .slice(0, MOST_FILES)
}

function problemsOf(sources: Source[]): string[] {
  const first = new Map<string, number>()
  return sources.flatMap(({ key, line, text }) => {
    const found: string[] = []
    const earlier = first.get(key)
    if (earlier === undefined) first.set(key, line)
    else found.push(`sources.md:${line}: [${key}] is already on line ${earlier}`)
    if (!/https?:\/\/\S+|\bdoi:\s*10\.\d+/i.test(text)) found.push(`sources.md:${line}: [${key}] has no URL or doi`)
    if (!/\bread \d{4}-\d{2}-\d{2}\b/.test(text)) found.push(`sources.md:${line}: [${key}] has no "read YYYY-MM-DD"`)
    return found
  })
}

export default tool({
  description:
    "Checks the citations of a research folder: keys used in Markdown files but missing in sources.md, sources never " +
    "cited, sources without URL or reading date, duplicate keys. Counts sources, notes and citations.",
  args: {
    folder: tool.schema
      .string()
      .optional()
      .describe("The research folder, relative to the current one; default: the current folder"),
  },
  async execute(args, context) {
    const folder = path.resolve(context.directory, args.folder ?? ".")
    const listing = await readFile(path.join(folder, "sources.md"), "utf8").catch(() => undefined)
    const sources = sourcesIn(listing ?? "")
    const known = new Set(sources.map((source) => source.key))
    const cited = new Set<string>()
    const problems = listing === undefined ? ["sources.md: missing"] : problemsOf(sources)
    const files = await markdownFiles(folder).catch(() => undefined)
    if (files === undefined) return `${folder}: not a folder that can be read`
    let citations = 0
    for (const name of files) {
      const lines = prose(await readFile(path.join(folder, name), "utf8")).matchAll(CITATION)
      const unknown = new Set<string>()
      for (const [, key] of lines) {
        citations += 1
        cited.add(key)
        if (!known.has(key)) unknown.add(key)
      }
      for (const key of unknown) problems.push(`${name}: [${key}] is not in sources.md`)
    }
    for (const key of known) if (!cited.has(key)) problems.push(`sources.md: [${key}] is never cited`)
    const notes = files.filter((name) => name.startsWith(`notes${path.sep}`)).length
    const head = `${known.size} sources, ${notes} notes, ${citations} citations in ${files.length} files of ${folder}`
    return problems.length > 0 ? [head, `${problems.length} problems:`, ...problems].join("\n") : `${head}\nno problems`
  },
})
