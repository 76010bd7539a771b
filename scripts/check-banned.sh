#!/usr/bin/env bash
# Finds calls that we do not use and names what we use instead. Exit 1 when there is one. A call
# that is right all the same carries its reason on the line: /* banned: why it is right here */
#
#   check-banned.sh [ROOT]
set -eu
cd "${1:-$(dirname "$0")/..}"

banned="
strcpy=snprintf() or struct buf
strcat=struct buf (buf_append_text)
strncpy=snprintf() or xstrndup()
strncat=struct buf (buf_append)
sprintf=snprintf() or buf_printf()
vsprintf=vsnprintf() or buf_vprintf()
stpcpy=struct buf
strtok=strcspn() and strspn(), or strsep()
atoi=strtol() with its end pointer, or value_parse_number()
atol=strtol() with its end pointer
atof=strtod() with its end pointer
sscanf=strtol(), strspn() or a parser of its own
strerror=err_set_errno() or err_errno_text()
localtime=clock_iso_utc()
gmtime=clock_iso_utc(), or gmtime_r()
ctime=clock_iso_utc()
rand=random_below()
srand=random_below()
alloca=a fixed array or xcalloc()
tmpnam=mkstemp() or mkdtemp()
mktemp=mkstemp() or mkdtemp()
gets=fgets() or file_read()
system=posix_spawn()
popen=posix_spawn()
fork=posix_spawn(): a fork copies the page tables of the whole process
vfork=posix_spawn()
"

# The code without comments and string literals, each line still behind its file and number.
code() {
    find base config memory slack agent bot tests -name '*.[ch]' -print 2>/dev/null | sort |
        while IFS= read -r file; do
            sed -e '/banned: /d' -e 's/"\([^"\\]\|\\.\)*"/""/g' -e 's,//.*,,' \
                -e 's,/\*.*\*/,,' "$file" |
                awk -v file="$file" '
                    /\/\*/ { sub(/\/\*.*/, ""); print file ": " $0; inside = 1; next }
                    inside && /\*\// { sub(/.*\*\//, ""); inside = 0 }
                    !inside { print file ": " $0 }'
        done
}

broken=0
all=$(code)
while IFS='=' read -r name instead; do
    [ -n "$name" ] || continue
    hits=$(grep -E "(^|[^A-Za-z0-9_.>])${name}[[:space:]]*\(" <<<"$all" || true)
    case $name in
    fork | vfork | system | popen) hits=$(grep -v "^tests/" <<<"$hits" || true) ;; # small processes
    esac
    if [ -n "$hits" ]; then
        printf '%s\n    %s() is not used here; use %s\n' "$hits" "$name" "$instead"
        broken=1
    fi
done <<<"$banned"
exit "$broken"
