// Verifies a bundle with @sigstore/verify: one time stamp, no log entry, no SCT.
// Arguments: trusted_root.json, bundle.json, the identity that has to have signed.
const { readFileSync } = require("node:fs");
const { bundleFromJSON } = require("@sigstore/bundle");
const { TrustedRoot } = require("@sigstore/protobuf-specs");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const [trustedRoot, bundle, identity] = process.argv.slice(2);
const read = (file) => JSON.parse(readFileSync(file, "utf8"));
try {
  const material = toTrustMaterial(TrustedRoot.fromJSON(read(trustedRoot)));
  const thresholds = { tsaThreshold: 1, tlogThreshold: 0, ctlogThreshold: 0 };
  const entity = toSignedEntity(bundleFromJSON(read(bundle)));
  new Verifier(material, thresholds).verify(entity, { subjectAlternativeName: identity });
} catch (error) {
  console.error(`${error.code ?? error.name}: ${error.message}`);
  process.exit(1);
}
