#!/bin/sh
# Judges the commits between two, in a CI job: without token, API or network. Needs git, jq and
# notme. docs/ci/README.md has the whole story.
#
#   NOTME_BASE            the commit before them; empty or zeros for a new branch
#   NOTME_HEAD            the last of them, or refs/tags/<tag>; unset, the event file says both
#   NOTME_TAG             the object that the tag of NOTME_HEAD was pushed as (what the clone has)
#   NOTME_BRANCH          the branch that they come to, or would; to another than the default one,
#                         everything that the default one has not is judged, whatever NOTME_BASE is
#                         (that of NOTME_REF, or the default one)
#   NOTME_REF             the full name of the ref that they are for, for rules about refs (none)
#   NOTME_PROPOSED        anything, where they are merely proposed for it: a pull request (none)
#   NOTME_DEFAULT_BRANCH  what new branches begin at and trust is taken from, as origin has it (main)
#   NOTME_TRUST           the trust store: a directory of the repository, as it was before the
#                         change, or an absolute path (.notme/trust)
#   NOTME_TRUST_ROOT      where the repository's own policy is followed from, as `notme verify` has
#                         it (what trust is taken from, where that has a policy)
#   NOTME_POLICY          a policy file in place of the repository's own, likewise (none)
#   NOTME_TRUST_FROM      a commit that is known to be on the default branch, where that was not
#                         fetched (the event file says it of a pull request into that branch)
#   NOTME_REPORTS         a directory for the reports (notme-reports)
#   NOTME_PROGRAM         the program (notme)
set -eu
umask 077
# What is judged is what was signed: notme follows neither, and nor may lists and ranges.
export GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none

program=${NOTME_PROGRAM:-notme}
reports=${NOTME_REPORTS:-notme-reports}
while [ "$reports" != "${reports#*//}" ]; do reports=${reports%%//*}/${reports#*//}; done
reports=${reports#"$PWD"/}
reports=${reports%/}

# On GitHub, Forgejo and Gitea a line of this form is shown beside the run.
tell() { # LEVEL CODE WORDS
  case "${GITHUB_ACTIONS:-}" in
    true) printf '::%s title=notme %s::%s\n' "$1" "$2" "$3" ;;
    *) printf '%s: %s: %s\n' "$1" "$2" "$3" ;;
  esac
}

refuse() { # CODE WORDS
  tell error "$1" "$2"
  exit 3
}

# What the job keeps as reports is what this run made: the checkout is a stranger's, and may bring some,
# or a link in their place, or above it to a place that is not theirs.
[ -n "$reports" ] || refuse reports-unwritable 'NOTME_REPORTS is no directory for reports'
above=$reports
while [ "${above#/}" = "$above" ] && [ "${above%/*}" != "$above" ]; do
  above=${above%/*}
  [ ! -L "$above" ] || refuse reports-unwritable "$above is a link"
done
[ ! -L "$reports" ] || rm -f -- "$reports" ||
  refuse reports-unwritable "$reports can't be taken away"
for name in notme.json notme.sarif notme.xml notme.md notme-code-quality.json; do
  path=$reports/$name
  { [ ! -e "$path" ] && [ ! -L "$path" ]; } || rm -rf -- "$path" ||
    refuse reports-unwritable "$path can't be taken away"
done

# Where a ref is missing, git takes a tag of that whole name, which anybody may push.
is_commit() {
  name=${1%%[~^]*}
  case "$name" in
    refs/*) git show-ref --verify --quiet "${name%%@\{*}" || return 1 ;;
  esac
  git rev-parse --verify --quiet "$1^{commit}" >/dev/null
}

for tool in git jq "$program"; do
  command -v "$tool" >/dev/null || refuse program-missing "there is no $tool"
done
if [ -z "${NOTME_HEAD+set}" ]; then
  range=$("$(dirname "$0")/event.sh") || exit
  eval "$range"
fi
head=$NOTME_HEAD
case "$head" in
  *[!0]*) ;;
  # A variable that the CI system does not have is no deleted branch.
  '') refuse object-missing 'NOTME_HEAD is empty' ;;
  *)
    tell notice nothing-to-judge 'the branch or tag is gone'
    exit 0
    ;;
esac
shallow=$(git rev-parse --is-shallow-repository) ||
  refuse repository-unusable 'git does not work here; notme doctor says why'
# actions/checkout@v4 leaves the commit in the place of an annotated tag.
is_other() { [ "$(git rev-parse --verify --quiet "$1")" != "$NOTME_TAG" ]; }
case "${NOTME_TAG:+$head}" in
  refs/tags/*)
    if is_other "$head" && is_other "$head^{}"; then
      git update-ref "$head" "$NOTME_TAG" 2>/dev/null ||
        refuse tag-replaced "$head was pushed as $NOTME_TAG, which is not in this clone: check out all tags (fetch-depth: 0)"
    fi
    ;;
esac
is_here() {
  is_commit "$1" || [ "$shallow" = false ] ||
    refuse clone-shallow "the clone ends before $1: check out the whole history (fetch-depth: 0)"
  is_commit "$1"
}
is_here "$head" || refuse object-missing "$head is not in this clone"
base=''
gone=''
case "${NOTME_BASE:-}" in
  *[!0]*)
    if ! is_here "$NOTME_BASE"; then
      gone=$NOTME_BASE
    # What is its own base says nothing of what was before it.
    elif [ "$(git rev-parse "$NOTME_BASE^{commit}")" != "$(git rev-parse "$head^{commit}")" ]; then
      base=$NOTME_BASE
    fi
    ;;
esac

default=${NOTME_DEFAULT_BRANCH:-main}
origin=refs/remotes/origin/$default
reference=${NOTME_REF:-}
branch=${NOTME_BRANCH:-}
case "$reference" in
  refs/heads/*) branch=${branch:-${reference#refs/heads/}} ;;
esac
branch=${branch:-$default}
case "$head" in
  # A tag comes to none.
  refs/tags/*) branch='' ;;
esac

# What is judged is $range: what $head has over $from, which is listed where that is `-`. Who judges comes
# from $before, which is no part of it. Only on the default branch is the commit before a change
# vouched for: what was pushed to another may have been refused.
has_origin() { is_commit "$origin"; }
is_to_default() { [ "$branch" = "$default" ]; }
goes_on() { git merge-base --is-ancestor "$base" "$1"; }
# The next push would be judged by what is older than what judged this one. What is proposed may begin
# before its base; of what was pushed, nothing that came there since takes it back.
is_of_default() { [ -z "${NOTME_PROPOSED:-}" ] && [ "$reference" = "refs/heads/$default" ]; }
if is_to_default && [ -n "$base" ] && ! goes_on "$head" &&
  { is_of_default || ! has_origin || ! goes_on "$origin"; } &&
  { has_origin || [ -z "${NOTME_TRUST_FROM:-}" ]; }; then
  [ "$shallow" = false ] ||
    refuse clone-shallow "whether $head goes on from $base can't be told: check out the whole history (fetch-depth: 0)"
  refuse ref-rewind "$default was at $base, and does not go on from there: whoever takes commits away from it takes back what they say of who may do what"
fi
from=$base
if has_origin && ! git merge-base --is-ancestor "$head" "$origin"; then
  before=$origin
  # What is pushed, or a merge group, may go on from what is not there yet. Of what is merely proposed,
  # nobody has looked at what its base had besides.
  [ -n "$base" ] && is_of_default && is_to_default && ! goes_on "$origin" ||
    from=$(git rev-parse "$origin^{commit}")
  range=$from..$head
elif has_origin && ! is_to_default; then
  # It has nothing that the default branch has not.
  before=$origin
  range=${from:+$from..}$head
elif is_to_default && [ -n "$base" ]; then
  before=$base
  range=$from..$head
elif is_to_default && [ -n "$gone" ]; then
  refuse base-gone "$gone is gone, as after a forced push, and nothing else says what was before"
else
  before=$head
  from=''
  range=-
fi
[ -z "$gone" ] || tell notice base-gone "$gone is gone, as after a forced push"
case "$range" in
  # A range has no tags in it.
  *..refs/tags/*) range=- ;;
esac
[ "$range" != - ] || [ "$shallow" = false ] ||
  refuse clone-shallow "all that leads to $head is to be judged: check out the whole history (fetch-depth: 0)"
# What else is here may be anybody's.
has_origin || before=${NOTME_TRUST_FROM:-}
is_commit "${before:-$head}" || refuse object-missing "$before is not in this clone"

own=.notme/policy.toml
work=$(mktemp -d) || refuse reports-unwritable 'there is no directory for temporary files'
trap 'rm -rf "$work"' EXIT
tab=$(printf '\t')
newline='
'
refuse_unknown() { # PATH
  refuse default-branch-missing "$origin, which \`$1\` is taken from, is not in this clone: name the default branch in NOTME_DEFAULT_BRANCH, and fetch it"
}
refuse_partial() { # COMMIT
  refuse object-missing "whether \`$own\` is in $1 can't be told: its trees are not in this clone, or malformed"
}
# What a commit has at a path, as git lists it; nothing, if it has none. git itself looks for a path
# where the order of names would have it, and so finds none in a tree out of order.
entry_at() { # COMMIT PATH
  set -- "$1^{tree}" "$2/" ''
  while [ -n "$2" ]; do
    name=${2%%/*}
    case "$name" in
      '' | .) set -- "$1" "${2#*/}" "$3" && continue ;;
    esac
    case "$3" in
      '' | '040000 tree '*) ;;
      *) return 0 ;;
    esac
    git -c core.quotePath=false ls-tree --full-tree "$1" >"$work/names" 2>/dev/null || return 1
    # Byte by byte: as numbers, `+1` would be `1`.
    entry=$(name=$name awk -F '\t' '($2 "") == (ENVIRON["name"] "")' "$work/names")
    case "$entry" in
      '') return 0 ;;
      *"$newline"*) return 1 ;;
    esac
    set -- "$(id_in "$entry")" "${2#*/}" "$entry"
  done
  printf '%s\n' "$3"
}
id_in() { # ENTRY
  id=${1%%"$tab"*}
  printf '%s\n' "${id##* }"
}
# Byte by byte: `git archive` and checkouts go by attributes that the repository sets.
from_before() { # PATH; leaves it in $found
  found=$1
  case "$1" in
    /*) return ;;
  esac
  [ -n "$before" ] || refuse_unknown "$1"
  [ "$before" != "$head" ] ||
    tell notice trust-from-head "nothing is known from before it: all of it is judged, by the \`$1\` that it brings"
  top=$(entry_at "$before" "$1") || top=''
  found=$work/before/$1
  case "$top" in
    '') refuse trust-missing "\`$1\` is not in $before, which is what the change is judged by" ;;
    '040000 tree '*)
      git -c core.quotePath=false ls-tree -r --full-tree "$(id_in "$top")" >"$work/list" 2>/dev/null ||
        refuse object-missing "not all of \`$1\` in $before is in this clone"
      ;;
    *) printf '%s\t\n' "${top%%"$tab"*}" >"$work/list" ;;
  esac
  while IFS=$tab read -r entry name; do
    path=$found${name:+/$name}
    case "$entry /$name/" in
      # git quotes a name that is no text for terminals.
      *' /"'* | */../*) false ;;
      100*) mkdir -p "${path%/*}" && git cat-file blob "${entry##* }" >"$path" ;;
      *) false ;;
    esac || refuse trust-unreadable "$1${name:+/$name} in $before is no plain file with a plain name, or is not in this clone"
  done <"$work/list"
}
from_before "${NOTME_TRUST:-.notme/trust}"
set -- --trust "$found"
if [ -n "${NOTME_POLICY:-}" ]; then
  [ "$(git ls-tree --full-tree --name-only "${before:-$head}" -- "$NOTME_POLICY" 2>/dev/null)" != $own ] ||
    refuse policy-own "\`$own\` judges without being named, and then nobody changes it without the right to: leave NOTME_POLICY empty, or pin where it begins in NOTME_TRUST_ROOT"
  from_before "$NOTME_POLICY"
  set -- "$@" --policy "$found"
elif [ -n "${NOTME_TRUST_ROOT:-}" ]; then
  root=$NOTME_TRUST_ROOT
  case ${#root} in
    40 | 64) ;;
    # A key has no commit; whoever may push tags gives one its name.
    *) root='' ;;
  esac
  [ -z "$root" ] || [ -z "$before" ] || ! is_commit "$root" ||
    git merge-base --is-ancestor "$root" "$before" ||
    refuse trust-root-proposed "$NOTME_TRUST_ROOT is not in $before: what is judged says nothing of where judging begins"
  set -- "$@" --trust-root "$NOTME_TRUST_ROOT"
elif [ -z "$before" ]; then
  held=$(git rev-list --full-history --max-count=1 "$head" -- ":/$own") || refuse_partial "$head"
  [ -z "$held" ] || refuse_unknown $own
elif held=$(entry_at "$before" $own) || refuse_partial "$before" && [ -z "$held" ]; then
  :
elif git merge-base --is-ancestor "$head" "$before"; then
  # A trust root is taken as it is, signed or not.
  from_before $own
  set -- "$@" --policy "$found"
else
  set -- "$@" --trust-root "$(git rev-parse "$before^{commit}")"
fi
[ -z "$reference" ] || set -- "$@" --ref "$reference"

: >"$work/commits"
[ "$range" != - ] || { printf '%s\n' "$head" && git rev-list ${from:+"^$from"} "$head" --; } >"$work/commits" ||
  refuse object-missing "something that $head goes on from is not in this clone"
status=0
"$program" verify --format json "$@" "$range" <"$work/commits" >"$work/notme.json" || status=$?
if [ ! -s "$work/notme.json" ]; then
  # Nothing was rejected where nothing was told.
  [ "$status" -gt 1 ] || status=3
  exit "$status"
fi
[ "$(jq '.shallow | length' "$work/notme.json")" = 0 ] ||
  refuse clone-shallow 'the clone ends inside of what is to be judged: check out the whole history (fetch-depth: 0)'

# What nobody vouches for may have more trees than git gets through.
if [ "$status" -eq 0 ]; then
  since=$head
  if [ -n "$from" ]; then
    since=$(git merge-base "$from" "$head" || printf '%s' "$from")
  elif [ "$range" = - ]; then
    # All that it has is new.
    since=$(git hash-object -t tree /dev/null)
  fi
  git diff --raw --no-renames --ignore-submodules=none "$since" "$head" -- >"$work/diff" ||
    refuse object-missing "what $head changed can't be told: not all of it is in this clone"
  awk -F '\t' '$1 ~ /^:[0-7]+ 160000 / { print $2 }' "$work/diff" |
    while read -r path; do
      tell warning submodule-not-judged "\`$path\` now points elsewhere; verify that repository by itself"
    done
fi

# Each report judges anew, by the same files.
report() { # FORMAT ARGUMENTS
  format=$1
  shift
  "$program" verify --format "$format" "$@" "$range" <"$work/commits" || true
}
report sarif "$@" >"$work/notme.sarif"
report junit "$@" >"$work/notme.xml"
report markdown "$@" >"$work/notme.md"
report gitlab "$@" >"$work/notme-code-quality.json"
case "${GITHUB_ACTIONS:-}" in
  true) report github "$@" ;;
  *) report text "$@" ;;
esac
if ! { mkdir -p -- "$reports" && mv -f -- "$work"/notme* "$reports"; }; then
  tell error reports-unwritable "$reports can't be written"
  [ "$status" -eq 1 ] || status=3
  exit "$status"
fi
[ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$reports/notme.md" >>"$GITHUB_STEP_SUMMARY"
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'sarif=%s\n' "$reports/notme.sarif" >>"$GITHUB_OUTPUT"
exit "$status"
