"""Verifies bundles with what sigstore-python has for that: all but the log entry, and the issuer
by a mere signature check, since it takes no critical SAN beside a subject. For each line on stdin
once, printing how many nanoseconds one took. Arguments: trusted_root.json, bundles."""

import sys
import time
from pathlib import Path

from cryptography.x509 import load_der_x509_certificate
from rfc3161_client import decode_timestamp_response
from sigstore import dsse
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.bundle.v1 import Bundle

root = TrustedRoot.from_file(sys.argv[1])
# Its constructor asks for a log.
verifier = Verifier.__new__(Verifier)
verifier._trusted_root = root
roots = {certificate.subject: certificate for certificate in root.get_fulcio_certs()}
bundles = [Path(path).read_text() for path in sys.argv[2:]]


def verify(text):
    bundle = Bundle.from_json(text)
    material = bundle.verification_material
    leaf = load_der_x509_certificate(material.certificate.raw_bytes)
    envelope = dsse.Envelope(bundle.dsse_envelope)
    [stamp] = material.timestamp_verification_data.rfc3161_timestamps
    answer = decode_timestamp_response(stamp.signed_timestamp)
    at = verifier._verify_signed_timestamp(answer, envelope.signature)
    assert at, "the time stamp does not hold"
    assert leaf.not_valid_before_utc <= at.time <= leaf.not_valid_after_utc
    leaf.verify_directly_issued_by(roots[leaf.issuer])
    dsse._verify(leaf.public_key(), envelope)


for _ in sys.stdin:
    start = time.perf_counter_ns()
    for bundle in bundles:
        verify(bundle)
    print((time.perf_counter_ns() - start) // len(bundles), flush=True)
