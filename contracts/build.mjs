// Compiles src/*.sol to artifacts/*.json; with --check, compares instead of writing.
//
// The settings leave nothing of the machine in the bytecode (no metadata, no hash of it), so the
// same sources give the same artifacts everywhere.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const contracts = ["Controller", "Nexus", "Response", "Source", "Task", "Terminal", "Vault"];

function compiler() {
  try {
    return createRequire(import.meta.url)("solc");
  } catch {
    console.error("solc is not installed: run `npm ci` in contracts/");
    process.exit(2);
  }
}

function input() {
  const names = readdirSync(join(here, "src")).filter((name) => name.endsWith(".sol")).sort();
  return {
    language: "Solidity",
    sources: Object.fromEntries(
      names.map((name) => [name, { content: readFileSync(join(here, "src", name), "utf8") }]),
    ),
    settings: {
      optimizer: { enabled: true, runs: 10000 },
      viaIR: true,
      evmVersion: "shanghai",
      metadata: { appendCBOR: false, bytecodeHash: "none" },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
    },
  };
}

function artifacts(solc) {
  const output = JSON.parse(solc.compile(JSON.stringify(input())));
  const messages = output.errors ?? [];
  for (const message of messages) console.error(message.formattedMessage);
  if (messages.length > 0) process.exit(1);
  return contracts.map((name) => {
    const { abi, evm } = output.contracts[`${name}.sol`][name];
    const artifact = {
      contract: name,
      compiler: solc.version().split("+")[0],
      abi,
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`,
    };
    return [join(here, "artifacts", `${name}.json`), `${JSON.stringify(artifact, null, 2)}\n`];
  });
}

const check = process.argv.includes("--check");
let stale = 0;
mkdirSync(join(here, "artifacts"), { recursive: true });
for (const [path, text] of artifacts(compiler())) {
  const same = existsSync(path) && readFileSync(path, "utf8") === text;
  if (check && !same) {
    console.error(`${path} does not match the sources: run \`node contracts/build.mjs\``);
    stale += 1;
  } else if (!check && !same) {
    writeFileSync(path, text);
    console.log(`wrote ${path}`);
  }
}
process.exit(stale > 0 ? 1 : 0);
