"""Signs with sigstore-python's own classes and a local key, as Fulcio would have certified it.
Arguments: the directory to write to, the commit to speak of."""

import base64
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore import dsse
from sigstore.models import Bundle, MessageSignature, TransparencyLogEntry
from sigstore_models.common.v1 import HashAlgorithm, HashOutput
from sigstore_models.rekor.v1 import TransparencyLogEntry as Entry

directory, commit = Path(sys.argv[1]), sys.argv[2]
now = datetime.now(timezone.utc).replace(microsecond=0)


def certificate(subject, key, issuer, issuer_key, extensions):
    name = lambda text: x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(minutes=10))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def usage(**of):
    names = "digital_signature content_commitment key_encipherment data_encipherment"
    names += " key_agreement key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{name: of.get(name, False) for name in names.split()})


ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
leaf_extensions = [
    (x509.BasicConstraints(False, None), True),
    (usage(digital_signature=True), True),
    (x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CODE_SIGNING]), False),
    (x509.SubjectAlternativeName([x509.RFC822Name("somebody@example.invalid")]), True),
]
ca_extensions = [
    (x509.BasicConstraints(True, 1), True),
    (usage(key_cert_sign=True), True),
]
ca = certificate("ca", ca_key, "ca", ca_key, ca_extensions)
leaf = certificate("somebody", key, "ca", ca_key, leaf_extensions)
alone = certificate("somebody", key, "somebody", key, leaf_extensions)
(directory / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))

# Its bundles have a log entry. This one is in no log; who reads it without looking is not fooled.
encoded = base64.b64encode(b"0" * 32).decode()
entry = TransparencyLogEntry(
    Entry.from_dict(
        {
            "logIndex": "0",
            "logId": {"keyId": encoded},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(int(now.timestamp())),
            "inclusionPromise": {"signedEntryTimestamp": encoded},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": encoded,
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": "none"},
            },
            "canonicalizedBody": encoded,
        }
    )
)


def write(name, leaf, content):
    bundle = Bundle._from_parts(leaf, content, entry)
    (directory / name).write_text(bundle.to_json())


class Raw:
    """A statement that its own builder has no digest for."""

    def __init__(self, statement):
        self._contents = json.dumps(statement).encode()

    def _pae(self):
        return dsse._pae(dsse.Envelope._TYPE, self._contents)


digest = hashes.Hash(hashes.SHA256())
digest.update(b"artifact")
digest = digest.finalize()
generic = (
    dsse.StatementBuilder()
    .subjects([dsse.Subject(name="artifact", digest={"sha256": digest.hex()})])
    .predicate_type("https://slsa.dev/provenance/v1")
    .predicate({})
    .build()
)
completed = {"execution": {"completedAt": now.isoformat().replace("+00:00", "Z")}}
dispatch = Raw(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": commit, "digest": {"gitCommit": commit}}],
        "predicateType": "https://notme.bot/provenance/dispatch/v1",
        "predicate": {"runDetails": completed},
    }
)
write("generic.json", leaf, dsse._sign(key, generic))
write("dispatch.json", leaf, dsse._sign(key, dispatch))
write("alone.json", alone, dsse._sign(key, dispatch))
write("blob.json", leaf, MessageSignature(
    message_digest=HashOutput(algorithm=HashAlgorithm.SHA2_256, digest=base64.b64encode(digest)),
    signature=base64.b64encode(key.sign(b"artifact", ec.ECDSA(hashes.SHA256()))),
))
