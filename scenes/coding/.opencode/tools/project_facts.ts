import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import path from "node:path"
import { promisify } from "node:util"
import { tool } from "@opencode-ai/plugin"

const run = promisify(execFile)
const LONGEST_LIST = 40

async function git(folder: string, ...args: string[]): Promise<string | undefined> {
  try {
    const { stdout } = await run("git", ["-C", folder, ...args], {
      timeout: 20_000,
      maxBuffer: 8 * 1024 * 1024,
    })
    return stdout.trimEnd()
  } catch {
    return undefined
  }
}

async function text(folder: string, name: string): Promise<string | undefined> {
  return readFile(path.join(folder, name), "utf8").catch(() => undefined)
}

function shortened(lines: string[]): string[] {
  if (lines.length <= LONGEST_LIST) return lines
  return [...lines.slice(0, LONGEST_LIST), `… and ${lines.length - LONGEST_LIST} more`]
}

async function repository(folder: string): Promise<string[]> {
  const top = await git(folder, "rev-parse", "--show-toplevel")
  if (top === undefined) return ["git: not a repository"]
  const branch = (await git(folder, "branch", "--show-current")) || "(detached)"
  const last = await git(folder, "log", "-1", "--format=%h %cs %s")
  const upstream = await git(folder, "rev-list", "--left-right", "--count", "HEAD...@{upstream}")
  const status = (await git(folder, "status", "--porcelain")) ?? ""
  const stat = last === undefined ? undefined : await git(folder, "diff", "--stat", "HEAD")
  const lines = [`git: ${top}, branch ${branch}`, `last commit: ${last ?? "none yet"}`]
  if (upstream) {
    const [ahead, behind] = upstream.split(/\s+/)
    lines.push(`against upstream: ${ahead} ahead, ${behind} behind`)
  }
  if (!status) return [...lines, "uncommitted: nothing"]
  lines.push("uncommitted:", ...shortened(status.split("\n")).map((line) => `  ${line}`))
  if (stat) lines.push("diff against HEAD:", ...shortened(stat.split("\n")).map((line) => ` ${line}`))
  return lines
}

async function nodeCommands(folder: string): Promise<string[]> {
  const source = await text(folder, "package.json")
  if (source === undefined) return []
  let scripts: Record<string, unknown>
  try {
    scripts = (JSON.parse(source) as { scripts?: Record<string, unknown> }).scripts ?? {}
  } catch {
    return ["package.json: not valid JSON"]
  }
  const locks: [string, string][] = [
    ["pnpm-lock.yaml", "pnpm"],
    ["yarn.lock", "yarn"],
    ["bun.lock", "bun"],
    ["bun.lockb", "bun"],
  ]
  let manager = "npm"
  for (const [lock, name] of locks) if ((await text(folder, lock)) !== undefined) manager = name
  return Object.keys(scripts)
    .filter((name) => /^(test|lint|build|check|typecheck|format)(:|$)/.test(name))
    .map((name) => `${manager} run ${name}`)
}

async function pythonCommands(folder: string): Promise<string[]> {
  const source = (await text(folder, "pyproject.toml")) ?? ""
  const tox = await text(folder, "tox.ini")
  const prefix = (await text(folder, "uv.lock")) === undefined ? "" : "uv run "
  const found: string[] = []
  if (/\bpytest\b/.test(source) || (await text(folder, "pytest.ini")) !== undefined) {
    found.push(`${prefix}pytest`)
  }
  if (/^\[tool\.ruff/m.test(source)) found.push(`${prefix}ruff check`)
  if (/^\[tool\.mypy\]/m.test(source)) found.push(`${prefix}mypy .`)
  if (/^\[tool\.pyright\]/m.test(source)) found.push(`${prefix}pyright`)
  if (tox !== undefined) found.push(`${prefix}tox`)
  return found
}

async function makeCommands(folder: string): Promise<string[]> {
  const source = (await text(folder, "Makefile")) ?? ""
  const targets = [...source.matchAll(/^(test|check|lint|build|fmt|format)\s*:(?!=)/gm)]
  return [...new Set(targets.map((match) => `make ${match[1]}`))]
}

async function otherCommands(folder: string): Promise<string[]> {
  const known: [string, string[]][] = [
    ["go.mod", ["go test ./...", "go vet ./..."]],
    ["Cargo.toml", ["cargo test", "cargo clippy"]],
    ["pom.xml", ["mvn test"]],
    ["build.gradle", ["gradle test"]],
    ["build.gradle.kts", ["gradle test"]],
    ["Gemfile", ["bundle exec rake test"]],
    ["composer.json", ["composer test"]],
  ]
  const found: string[] = []
  for (const [file, commands] of known) {
    if ((await text(folder, file)) !== undefined) found.push(...commands)
  }
  return found
}

export default tool({
  description:
    "Facts about a source repository: branch, last commit, uncommitted files and diff size, and the commands " +
    "that test, lint and build it, read from its own files. Call it before changing or reviewing code.",
  args: {
    folder: tool.schema
      .string()
      .optional()
      .describe("The repository, relative to the current folder; default: the current folder"),
  },
  async execute(args, context) {
    const folder = path.resolve(context.directory, args.folder ?? ".")
    const commands = [
      ...(await makeCommands(folder)),
      ...(await nodeCommands(folder)),
      ...(await pythonCommands(folder)),
      ...(await otherCommands(folder)),
    ]
    const named = commands.length > 0 ? commands.map((command) => `  ${command}`) : ["  none found"]
    return [`folder: ${folder}`, ...(await repository(folder)), "commands:", ...named].join("\n")
  },
})
