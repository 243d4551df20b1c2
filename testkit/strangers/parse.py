"""Reads what notme wrote with the classes of sigstore-python, securesystemslib and
in-toto-attestation. Arguments: trusted_root.json, bundle.json."""

import json
import sys

from cryptography import x509
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1 import statement_pb2
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
from sigstore import dsse
from sigstore.errors import Error
from sigstore.models import Bundle, InvalidBundle, TrustedRoot
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore.verify import Verifier
from sigstore_models.bundle.v1 import Bundle as Read

root_file, bundle_file = sys.argv[1:]
text = open(bundle_file).read()

# sigstore-python: the trusted root, and who is in it.
root = TrustedRoot.from_file(root_file)
authorities = root.get_fulcio_certs()
stampers = root.get_timestamp_authorities()
assert authorities and stampers, "nobody is in the trusted root"
bundle = Read.from_json(text)
leaf = x509.load_der_x509_certificate(bundle.verification_material.certificate.raw_bytes)
[stamp] = bundle.verification_material.timestamp_verification_data.rfc3161_timestamps
# It insists on a log entry, and there is no log yet.
try:
    Bundle.from_json(text)
    sys.exit("a bundle without a log entry was taken: say so in docs/formats/sigstore.md")
except InvalidBundle as refusal:
    assert "expected exactly one log entry in bundle" in str(refusal), refusal

# Nor does it take a critical SAN beside a subject, which the notme authority's profile has.
verifier = Verifier.__new__(Verifier)
verifier._fulcio_certificate_chain = authorities
at = TimestampVerificationResult(TimestampSource.TIMESTAMP_AUTHORITY, leaf.not_valid_before_utc)
try:
    verifier._verify_chain_at_time(leaf, at)
    sys.exit("our certificates were taken: say so in docs/formats/sigstore.md")
except Error as refusal:
    assert "subjectAltName MUST NOT be critical" in str(refusal), refusal
# And it knows no digests of git.
payload = bundle.dsse_envelope.payload
try:
    dsse.Statement(payload)
    assert b"gitCommit" not in payload, "a commit was taken: say so in docs/formats/sigstore.md"
except Error as refusal:
    assert "gitCommit" in str(refusal), refusal

# securesystemslib: the signature.
envelope = Envelope.from_dict(json.loads(text)["dsseEnvelope"])
[signature] = envelope.signatures.values()
key = SSlibKey.from_crypto(leaf.public_key(), keyid=signature.keyid)
envelope.verify([key], 1)

# in-toto-attestation: the statement.
message = json_format.Parse(envelope.payload, statement_pb2.Statement())
statement = Statement.copy_from_pb(message)
statement.validate()
print(message.predicate_type)
