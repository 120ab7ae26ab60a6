import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What an application calls or passes: the file and the name of each type, and whether the application passes it. */
const ENTRIES = [
  { file: 'lib/mission-control.ts', type: 'MissionControlOptions', name: 'options', isPassed: true },
  { file: 'lib/mission-control.ts', type: 'MissionControl', name: 'missionControl', isPassed: false },
  { file: 'lib/missions/missions.ts', type: 'Missions', name: 'missions', isPassed: false },
  { file: 'lib/missions/mission.ts', type: 'Mission', name: 'mission', isPassed: false },
  { file: 'lib/monitoring/monitoring.ts', type: 'Monitoring', name: 'monitoring', isPassed: false },
  { file: 'lib/reporter.ts', type: 'ReporterOptions', name: 'reporterOptions', isPassed: true },
  { file: 'lib/backplane/redis/options.ts', type: 'RedisBackplaneOptions', name: 'redisOptions', isPassed: true },
  { file: 'lib/client/options.ts', type: 'ClientOptions', name: 'clientOptions', isPassed: true },
  { file: 'lib/client/client.ts', type: 'Client', name: 'client', isPassed: false }
] as const

/**
 * The path of every function that an application passes to the package, such as `options.health.provider` or
 * `missions.run(work)`, as the public types declare them.
 */
export function findCallbacks (): string[] {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ESNext, module: ts.ModuleKind.NodeNext, strict: true, skipLibCheck: true, exactOptionalPropertyTypes: true, noEmit: true
  }
  const program = ts.createProgram(ENTRIES.map(({ file }) => join(ROOT, file)), options)
  const walk = new Walk(program.getTypeChecker())
  for (const { file, type, name, isPassed } of ENTRIES) {
    const source = program.getSourceFile(join(ROOT, file))!
    const declaration = source.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === type)!
    walk.object(walk.checker.getTypeAtLocation(declaration), name, isPassed, declaration)
  }
  return [...walk.found].sort()
}

class Walk {
  readonly found = new Set<string>()
  readonly #seen = new Set<ts.Type>()

  constructor (readonly checker: ts.TypeChecker) {}

  /** Reads the properties of an object: those that are passed may be callbacks, others take them as arguments. */
  object (type: ts.Type, path: string, isPassed: boolean, at: ts.Node): void {
    if (this.#seen.has(type)) return
    this.#seen.add(type)
    for (const property of type.getProperties()) {
      const inner = `${path}.${property.name}`
      for (const member of this.#membersOf(this.checker.getTypeOfSymbolAtLocation(property, at))) {
        if (isPassed) this.#passed(member, inner, at)
        else for (const signature of member.getCallSignatures()) this.#parameters(signature, inner, at)
      }
    }
  }

  #parameters (signature: ts.Signature, path: string, at: ts.Node): void {
    for (const parameter of signature.getParameters()) {
      for (const member of this.#membersOf(this.checker.getTypeOfSymbolAtLocation(parameter, at))) this.#passed(member, `${path}(${parameter.name})`, at)
    }
  }

  #passed (type: ts.Type, path: string, at: ts.Node): void {
    if (type.getCallSignatures().length > 0 || type.getConstructSignatures().length > 0) this.found.add(path)
    else if (this.checker.isArrayType(type)) for (const item of this.checker.getTypeArguments(type as ts.TypeReference)) this.#passed(item, path, at)
    // An option that is any object is used by its methods, such as a registry of prom-client.
    else if (type.flags === ts.TypeFlags.NonPrimitive && path.startsWith('options.')) this.found.add(path)
    else if ((type.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0 && this.#isOwn(type)) this.object(type, path, true, at)
  }

  #membersOf (type: ts.Type): ts.Type[] {
    return type.isUnion() ? type.types : [type]
  }

  // Types of Node.js, of Fastify and of the language, such as an AbortSignal, are not declared by the package.
  #isOwn (type: ts.Type): boolean {
    const symbol = type.aliasSymbol ?? type.getSymbol()
    if (symbol === undefined || symbol.name === '__type') return true
    return (symbol.declarations ?? []).some((node) => !node.getSourceFile().fileName.includes('node_modules'))
  }
}
