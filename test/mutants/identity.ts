// Controls of keys, credentials and settings.

import type { Mutant } from '../mutants.ts'

export const IDENTITY_MUTANTS: readonly Mutant[] = [
  {
    id: 'ID-1',
    what: 'an existing key is replaced by a new one',
    file: 'src/identity/identity-store.ts',
    find: 'if (identityExists(places)) return',
    replace: 'if (identityExists(places) && Math.random() > 2) return'
  },
  {
    id: 'ID-1',
    what: 'key files are created readable by others',
    file: 'src/identity/atomic-file.ts',
    find: "openSync(path, 'wx', 0o600)",
    replace: "openSync(path, 'wx', 0o644)"
  },
  {
    id: 'ID-2',
    what: 'a key file over an existing one',
    file: 'src/identity/atomic-file.ts',
    find: 'files.link(temporary, path)',
    replace: 'files.rename(temporary, path)'
  },
  {
    id: 'ID-2',
    what: 'the version of a key file is not looked at',
    file: 'src/identity/identity-store.ts',
    find: 'record.format !== FORMAT || record.version !== VERSION',
    replace: 'record.format !== FORMAT'
  },
  {
    id: 'ID-3',
    what: 'modes of key files are not looked at',
    file: 'src/identity/atomic-file.ts',
    find: 'rules.othersMayRead === true ? 0o022 : 0o077',
    replace: 'rules.othersMayRead === true ? 0o022 : 0o000'
  },
  {
    id: 'ID-3',
    what: 'modes of the home are not looked at',
    file: 'src/config/paths.ts',
    find: 'if ((stats.mode & 0o077) !== 0) {',
    replace: 'if ((stats.mode & 0o000) !== 0) {'
  },
  {
    id: 'ID-4',
    what: 'small order is not recognised',
    file: 'src/identity/ed25519.ts',
    find: 'return SMALL_ORDER_Y.has(toHex(y))',
    replace: "return SMALL_ORDER_Y.has('')"
  },
  {
    id: 'ID-4',
    what: 'torsion is not looked for',
    file: 'src/identity/ed25519.ts',
    find: "return point.isTorsionFree() ? 'ok' : 'mixed-order'",
    replace: "return 'ok'"
  },
  {
    id: 'ID-4',
    what: 'non-canonical keys are decoded',
    file: 'src/identity/ed25519.ts',
    find: 'const point = tryDecodePoint(publicKey, false)',
    replace: 'const point = tryDecodePoint(publicKey, true)'
  },
  {
    id: 'ID-4',
    what: 'subjects of certificates are not checked',
    file: 'src/identity/certificate-path.ts',
    find: "return checkPublicKey(certificate.subject) === 'ok' ? null : 'key-refused'",
    replace: 'return null'
  },
  {
    id: 'ID-5',
    what: 'a value’s place is not bound',
    file: 'src/identity/seal.ts',
    find: 'place.purpose, ...place.name].join',
    replace: 'place.purpose].join'
  },
  {
    id: 'ID-5',
    what: 'v0.1 values are not read',
    file: 'src/config/agents-file.ts',
    find: 'sealedKeyId(text) === null && key',
    replace: "sealedKeyId(text) === '' && key"
  },
  {
    id: 'ID-6',
    what: 'the ciphertext is passed on',
    file: 'src/config/agents-file.ts',
    find: "    if (verdict.ok) return Buffer.from(verdict.bytes).toString('utf8')",
    replace:
      "    if (verdict.ok) return Buffer.from(verdict.bytes).toString('utf8')\n    if (text.length > 0) return text"
  },
  {
    id: 'ID-7',
    what: 'the old key is forgotten before values are sealed again',
    file: 'src/identity/key-ring-file.ts',
    find: 'write(new KeyRing(newRootKey(), ring.exportKeys()), files)',
    replace: 'write(new KeyRing(newRootKey()), files)'
  },
  {
    id: 'ID-7',
    what: 'agents.toml is not sealed again',
    file: 'src/config/agents-file.ts',
    find: 'sealedKeyId(value) === this.#ring.currentId) continue',
    replace: "sealedKeyId(value) !== '') continue"
  },
  {
    id: 'ID-7',
    what: 'values are not tried before a rotation',
    file: 'src/config/credential-rotation.ts',
    find: 'agentsOptions).openAll()',
    replace: 'agentsOptions).list()'
  },
  {
    id: 'ID-8',
    what: 'plaintext keys are accepted',
    file: 'src/config/agents-file.ts',
    find: 'if (this.#options.allowPlaintext?.includes(place)) return',
    replace: "if (place !== '') return"
  },
  {
    id: 'ID-8',
    what: 'plaintext keys are not counted',
    file: 'src/config/agents-file.ts',
    find: "row.state === 'plaintext' && !allowPlaintext",
    replace: "row.state === 'foreign' && !allowPlaintext"
  },
  {
    id: 'ID-8',
    what: 'an exposed agents.toml is read',
    file: 'src/config/agents-file.ts',
    find: "exposed: 'CONFIG_EXPOSED', invalid: 'CONFIG_INVALID' } as const",
    replace: "exposed: 'CONFIG_EXPOSED', invalid: 'CONFIG_INVALID', othersMayRead: true } as const"
  },
  {
    id: 'ID-9',
    what: 'secrets of records are enumerable',
    file: 'src/identity/hidden.ts',
    find: 'enumerable: false',
    replace: 'enumerable: true'
  },
  {
    id: 'ID-9',
    what: 'a signing key keeps its secret in the open',
    file: 'src/identity/ed25519.ts',
    find: '    this.publicKey = getPublicKey(this.#seed)',
    replace: '    this.publicKey = getPublicKey(this.#seed)\n    Object.assign(this, { toJSON: () => [...this.#seed] })'
  },
  {
    id: 'ID-9',
    what: 'parser messages with the file’s text leave',
    file: 'src/config/toml-document.ts',
    find: "throw new MeshError('CONFIG_INVALID', 'this is not TOML',",
    replace: "throw new MeshError('CONFIG_INVALID', error.message,"
  },
  {
    id: 'ENV-1',
    what: 'an unset variable reads empty',
    file: 'src/config/substitution.ts',
    find: 'const value = env[name] ?? match?.[2]',
    replace: "const value = env[name] ?? match?.[2] ?? ''"
  },
  {
    id: 'ENV-1',
    what: 'references are shown resolved',
    file: 'src/config/config-file.ts',
    find: "return { key, shown: fromFile, origin: 'file', variable }",
    replace: "return { key, shown: tomlValueAt(merged, path), origin: 'file', variable }"
  }
]
