#!/bin/sh
# Opens a session for this job with the identity token that the CI system gives it, and sets the
# checkout up to sign with it. Nothing is stored: the token goes from pipe to pipe, the session's
# keys are in the key agent's memory. Needs git and notme; on GitHub curl and jq.
#
#   NOTME_AUTHORITY  URL of the authority, which has to know the issuer (docs/formats/oidc.md)
#   NOTME_PINS       its pins, separated by spaces
#   NOTME_AGENT      the issuer's name at the authority (gha)
#   NOTME_AUDIENCE   for whom the token is to be (NOTME_AUTHORITY)
#   NOTME_ID_TOKEN   the token; without it, GitHub is asked for one
#   NOTME_FORMAT     x509, ssh or openpgp (what suits the remote)
#   NOTME_HOME       where the session's socket and settings go (below RUNNER_TEMP)
#   NOTME_PROGRAM    the program (notme)
set -eu
umask 077

fail() { # CODE WORDS
  case "${GITHUB_ACTIONS:-}" in
    true) printf '::error title=notme %s::%s\n' "$1" "$2" ;;
    *) printf 'error: %s: %s\n' "$1" "$2" >&2 ;;
  esac
  exit 3
}

if [ -z "${NOTME_HOME:-}" ]; then
  [ -n "${RUNNER_TEMP:-}" ] || fail home-missing 'set NOTME_HOME to a directory of this job alone'
  NOTME_HOME=$RUNNER_TEMP/notme
fi
export NOTME_HOME

if [ -z "${NOTME_ID_TOKEN:-}" ]; then
  [ -n "${ACTIONS_ID_TOKEN_REQUEST_TOKEN:-}" ] ||
    fail token-missing 'the job gets no identity token: it needs "permissions: id-token: write"'
  audience=$(printf %s "${NOTME_AUDIENCE:-$NOTME_AUTHORITY}" | jq -Rr @uri)
  # The rights to ask go through stdin: arguments are for everybody on the machine to read.
  answer=$(
    printf 'header = "Authorization: bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
      curl --silent --show-error --fail --retry 3 --config - \
        "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=$audience"
  ) || fail token-missing 'GitHub gave no identity token'
  NOTME_ID_TOKEN=$(printf %s "$answer" | jq -er .value) || fail token-missing 'the answer holds no token'
fi

set -- --agent "${NOTME_AGENT:-gha}" --authority "$NOTME_AUTHORITY"
for pin in $NOTME_PINS; do
  set -- "$@" --pin "$pin"
done
[ -z "${NOTME_FORMAT:-}" ] || set -- "$@" --format "$NOTME_FORMAT"
printf %s "$NOTME_ID_TOKEN" | "${NOTME_PROGRAM:-notme}" init "$@" --token-file -
# The steps to come find the session there.
[ -z "${GITHUB_ENV:-}" ] || printf 'NOTME_HOME=%s\n' "$NOTME_HOME" >>"$GITHUB_ENV"
