#!/usr/bin/env bash
# Records the captures whose names begin with "rec-", and the one of the demo, anew: record-all.sh [NAME…]
#
# Real clients, servers and a proxy talk between three network namespaces joined by veth:
#   client 10.77.1.10 --- 10.77.1.1 proxy 10.77.2.1 --- 10.77.2.20 server
# Needs root, ip(8), openssl and node with npm; installs the rest: tcpdump and nginx by apt, ws by npm, websockets and
# hypercorn by pip (the last three below a cache folder outside the repository). Certificates are made anew in a temporary
# folder; the name they are for, feed.test, is known in the client's namespace only. Each folder gets its capture, the
# client's TLS secrets where the story needs them and a README with the logs of both ends; expected.json is written by
# people and is not touched.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
captures=$(dirname "$here")
cache=${WSSCAN_RECORD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wsscan-record}
state=$(mktemp -d)
wanted=("$@")
children=()

stop_children() {
    for child in "${children[@]:-}"; do [ -z "$child" ] || kill "$child" 2>/dev/null || true; done
    for child in "${children[@]:-}"; do [ -z "$child" ] || wait "$child" 2>/dev/null || true; done
    children=()
}
cleanup() {
    stop_children
    for side in client proxy server; do ip netns del "wsscan-$side" 2>/dev/null || true; done
    rm -rf "$state"
    rm -f /etc/netns/wsscan-client/hosts
    rmdir /etc/netns/wsscan-client /etc/netns 2>/dev/null || true
}
trap cleanup EXIT

[ "$(id -u)" = 0 ] || { echo "record-all.sh: needs root for network namespaces and tcpdump" >&2; exit 2; }

install_tools() {
    local missing=()
    command -v tcpdump >/dev/null || missing+=(tcpdump)
    [ -x /usr/sbin/nginx ] || missing+=(nginx-light)
    if [ ${#missing[@]} -gt 0 ]; then
        apt-get update -q
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
    fi
    mkdir -p "$cache"
    [ -d "$cache/node_modules/ws" ] || npm install --prefix "$cache" --no-fund --no-audit ws@8
    [ -x "$cache/venv/bin/python" ] || python3 -m venv "$cache/venv"
    "$cache/venv/bin/python" -c 'import hypercorn, websockets' 2>/dev/null || "$cache/venv/bin/pip" install -q hypercorn websockets
}

make_network() {
    mkdir -p /etc/netns/wsscan-client   # what ip(8) puts in place of /etc/hosts there
    printf '127.0.0.1 localhost\n10.77.2.20 feed.test\n' >/etc/netns/wsscan-client/hosts
    for side in client proxy server; do ip netns add "wsscan-$side"; done
    ip link add wsc0 netns wsscan-client type veth peer name wsp0 netns wsscan-proxy
    ip link add wss0 netns wsscan-server type veth peer name wsp1 netns wsscan-proxy
    ip -n wsscan-client addr add 10.77.1.10/24 dev wsc0
    ip -n wsscan-proxy addr add 10.77.1.1/24 dev wsp0
    ip -n wsscan-proxy addr add 10.77.2.1/24 dev wsp1
    ip -n wsscan-server addr add 10.77.2.20/24 dev wss0
    ip -n wsscan-client link set wsc0 up; ip -n wsscan-server link set wss0 up
    ip -n wsscan-proxy link set wsp0 up; ip -n wsscan-proxy link set wsp1 up
    for side in client proxy server; do ip -n "wsscan-$side" link set lo up; done
    ip -n wsscan-client route add default via 10.77.1.1
    ip -n wsscan-server route add default via 10.77.2.1
    ip netns exec wsscan-proxy sysctl -qw net.ipv4.ip_forward=1
}

on() { local side=$1; shift; ip netns exec "wsscan-$side" "$@"; }

# Starts a program in the background and waits until its log says that it is ready.
start() { # SIDE LOG READY COMMAND…
    local side=$1 log=$2 ready=$3; shift 3
    ip netns exec "wsscan-$side" "$@" >"$log" 2>&1 &
    children+=($!)
    for _ in $(seq 100); do grep -q "$ready" "$log" 2>/dev/null && return; sleep 0.05; done
    echo "record-all.sh: $* is not ready:" >&2; cat "$log" >&2; exit 1
}

server_js() { start server "$state/server.log" listening env NODE_PATH="$cache/node_modules" node "$here/server.js" "$1" 8080; }
server_py() { start server "$state/server.log" listening "$cache/venv/bin/python" "$here/server.py" "$1" 8080; }
client_js() { on client env NODE_PATH="$cache/node_modules" node "$here/client.js" "$@" >>"$state/client.log" 2>&1 || true; }
client_py() { on client "$cache/venv/bin/python" "$here/client.py" "$@" >>"$state/client.log" 2>&1 || true; }
# The same over TLS, with a certificate of certificates.sh. The clients trust its authority and write their secrets down
# as NSS key log, which `keys` keeps for the capture.
server_tls() { # MODE CERTIFICATE VERSION
    start server "$state/server.log" listening env NODE_PATH="$cache/node_modules" \
        node "--tls-min-v$3" "--tls-max-v$3" "$here/server.js" "$1" 8443 "$state/certificates" "$2"
}
client_tls_js() { # SCRIPT ARGUMENT…
    on client env NODE_PATH="$cache/node_modules" NODE_EXTRA_CA_CERTS="$state/certificates/ca.pem" NODE_NO_WARNINGS=1 \
        node --tls-keylog="$state/secrets.log" "$here/$1" "${@:2}" >>"$state/client.log" 2>&1 || true
}
client_tls_py() {
    on client env SSL_CERT_FILE="$state/certificates/ca.pem" SSLKEYLOGFILE="$state/secrets.log" \
        "$cache/venv/bin/python" "$here/client.py" "$@" >>"$state/client.log" 2>&1 || true
}
keys() { grep -v '^#' "$state/secrets.log" >"$state/keys.log"; }
proxy() {
    sed "s|@STATE@|$state|" "$here/nginx.conf" >"$state/nginx.conf"
    chmod 755 "$state"
    ip netns exec wsscan-proxy /usr/sbin/nginx -c "$state/nginx.conf" 2>"$state/nginx.log" &
    children+=($!)
    for _ in $(seq 100); do [ -s "$state/nginx.pid" ] && return; sleep 0.05; done
    echo "record-all.sh: nginx is not ready" >&2; cat "$state/nginx.log" >&2; exit 1
}
capture() { start "$1" "$state/tcpdump.log" "listening on" tcpdump --immediate-mode -i "$2" -U -w "$state/capture.pcap" tcp; } # SIDE INTERFACE

installed() { "$cache/venv/bin/python" -c 'import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))' "$1"; }

versions() {
    local node_ws websockets
    node_ws="ws $(node -p "require('$cache/node_modules/ws/package.json').version") (node $(node --version))"
    websockets="websockets $("$cache/venv/bin/python" -c 'import websockets; print(websockets.__version__)') (Python $("$cache/venv/bin/python" -c 'import platform; print(platform.python_version())'))"
    local nginx; nginx=$(/usr/sbin/nginx -v 2>&1 | sed 's|.*nginx/|nginx |')
    local list=()
    for software in "$@"; do
        case $software in
            ws) list+=("$node_ws") ;; websockets) list+=("$websockets") ;; nginx) list+=("$nginx") ;;
            hypercorn) list+=("Hypercorn $(installed hypercorn) (h2 $(installed h2), wsproto $(installed wsproto))") ;;
            http2) list+=("node http2 $(node --version)") ;;
            openssl) list+=("$(openssl version | cut -d' ' -f1,2) for the certificates") ;;
            scripted) list+=("a scripted TCP peer") ;;
        esac
    done
    local IFS=';'; echo "${list[*]}" | sed 's/;/; /g'
}

# Records one case: how the peers are started and what they do comes from the function of its name.
record() { # NAME WHERE STORY SOFTWARE…
    local name=$1 where=$2 story=$3; shift 3
    if [ ${#wanted[@]} -gt 0 ] && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
    : >"$state/client.log"; : >"$state/server.log"; rm -f "$state"/{nginx.pid,capture.pcap,secrets.log,keys.log}
    echo "recording $name" >&2
    "play_${name//[-.]/_}"
    sleep 0.6   # the last packets
    stop_children
    local folder=$captures/$name
    mkdir -p "$folder"
    cp "$state/capture.pcap" "$folder/capture.pcap"
    local secrets=''
    if [ -s "$state/keys.log" ]; then cp "$state/keys.log" "$folder/keys.log"; secrets=" Key log of the client: \`keys.log\`."; fi
    {
        printf '# %s\n\n%s\n\n' "$name" "$story"
        printf '**Software.** %s.\n\n' "$(versions "$@")"
        printf '**Recorded** by `captures/record/record-all.sh %s`, %s, between network namespaces joined by veth.%s\n\n' "$name" "$where" "$secrets"
        printf '## Truth\n\nWhat the client reported:\n\n```text\n'; cat "$state/client.log"
        printf '```\n\nWhat the server reported:\n\n```text\n'; grep -v listening "$state/server.log" || echo '(nothing)'
        printf '```\n'
    } >"$folder/README.md"
}

at_client="on the client's interface"
at_proxy="on the proxy host, all interfaces (\`any\`), so that both legs are in it"

play_rec_healthy() { server_js ping; capture client wsc0; client_py ws://10.77.2.20:8080/feed; }
play_rec_close_without_status() { server_js no-status; capture client wsc0; client_js ws://10.77.2.20:8080/feed; }
play_rec_no_close_frame() { server_js terminate; capture client wsc0; client_js ws://10.77.2.20:8080/feed; }
play_rec_reset() { server_js reset; capture client wsc0; client_js ws://10.77.2.20:8080/feed; }
play_rec_wrong_path_400() { server_js feed-only; capture client wsc0; client_js ws://10.77.2.20:8080/fed; }
play_rec_wrong_path_404() { server_py not-found; capture client wsc0; client_js ws://10.77.2.20:8080/fed; }
play_rec_wrong_accept() { server_py wrong-accept; capture client wsc0; client_js ws://10.77.2.20:8080/feed; }
play_rec_nginx_stripped_upgrade() { server_js echo; proxy; capture proxy any; client_js ws://10.77.1.1/feed; }
play_rec_tls_expired() { server_tls echo expired 1.3; capture client wsc0; client_tls_py wss://feed.test:8443/feed blocking; keys; }
play_rec_tls_self_signed() { server_tls echo self-signed 1.3; capture client wsc0; client_tls_js client.js wss://feed.test:8443/feed; keys; }
play_rec_tls_other_host() { server_tls echo other-host 1.3; capture client wsc0; client_tls_py wss://feed.test:8443/feed; keys; }
play_rec_tls12_other_host() { server_tls echo other-host 1.2; capture client wsc0; client_tls_py wss://feed.test:8443/feed blocking; }
play_rec_tls_client_certificate() { server_tls client-certificate good 1.3; capture client wsc0; client_tls_py wss://feed.test:8443/feed; keys; }
play_rec_tls_plain_to_tls_port() { server_js echo; proxy; capture client wsc0; client_js ws://10.77.1.1:8443/good/feed; }
play_rec_tls_plain_to_silent_tls_port() { server_tls echo good 1.3; capture client wsc0; client_js ws://feed.test:8443/feed; }
play_rec_tls12_clean() { server_tls echo good 1.2; capture client wsc0; client_tls_js client.js wss://feed.test:8443/feed hello 400; keys; }
play_rec_tls12_no_close_frame() { server_tls terminate good 1.2; capture client wsc0; client_tls_js client.js wss://feed.test:8443/feed; keys; }
play_rec_tls13_clean() { server_tls echo good 1.3; capture client wsc0; client_tls_js client.js wss://feed.test:8443/feed hello 400; keys; }
play_rec_tls13_no_close_frame() { server_tls terminate good 1.3; capture client wsc0; client_tls_js client.js wss://feed.test:8443/feed; keys; }
play_rec_tls_http2() {
    start server "$state/server.log" listening "$cache/venv/bin/python" "$here/http2-server.py" 8443 "$state/certificates"
    capture client wsc0; client_tls_js http2-client.js https://feed.test:8443/feed; keys
}
play_demo() {
    server_js demo; proxy; capture proxy any
    client_js ws://10.77.1.1/good/feed "hello through the proxy" 400
    client_js ws://10.77.1.1/chat
    client_js ws://10.77.1.1/good/terminate "is anybody there?"
    client_js ws://10.77.1.1/timeout/feed "now I listen"
}

install_tools
make_network
mkdir "$state/certificates" && "$here/certificates.sh" "$state/certificates"
record rec-healthy "$at_client" "Nothing is wrong: three messages echoed, a ping answered each way, closed by the client with 1000." ws websockets
record rec-close-without-status "$at_client" "The server calls \`close()\` without a code: an empty Close goes out, and the client's API reports 1005." ws
record rec-no-close-frame "$at_client" "The server calls \`terminate()\`: TCP ends without a Close frame, and the client's API reports 1006." ws
record rec-reset "$at_client" "The server resets TCP (\`resetAndDestroy()\`, the same as closing with SO_LINGER 0): RST without a Close frame, 1006 at the client." ws
record rec-wrong-path-400 "$at_client" "The client asks for \`/fed\`; the server only serves \`/feed\` and answers 400, as npm ws does for a path it does not handle." ws
record rec-wrong-path-404 "$at_client" "The client asks for \`/fed\`; the server only serves \`/feed\` and answers 404." ws websockets
record rec-wrong-accept "$at_client" "The 101 carries the Sec-WebSocket-Accept of another key; the client fails the connection and hangs up." ws scripted
record rec-nginx-stripped-upgrade "$at_proxy" "nginx forwards the upgrade request as plain HTTP/1.0, without Upgrade and Connection: \`proxy_set_header\` was forgotten. The backend answers 426." ws nginx
tls_story="The server's certificate"
record rec-tls-expired "$at_client" "$tls_story for \`feed.test\` ended on 2024-04-01. The client refuses it with the alert certificate_expired; OpenSSL sends it in the clear, although this is TLS 1.3." ws websockets openssl
record rec-tls-self-signed "$at_client" "$tls_story for \`feed.test\` is signed by itself. Node hangs up right after the server's flight of TLS 1.3, with no alert that says why." ws openssl
record rec-tls-other-host "$at_client" "$tls_story is for \`shop.test\`, the client wants \`feed.test\`. The asyncio client hangs up right after the server's flight of TLS 1.3 and sends no alert." ws websockets openssl
record rec-tls12-other-host "$at_client" "$tls_story is for \`shop.test\`, the client wants \`feed.test\`. OpenSSL's alert for that is bad_certificate; in TLS 1.2 it and the certificate can be read without keys." ws websockets openssl
record rec-tls-client-certificate "$at_client" "The server demands a certificate of the client, which has none: an alert certificate_required after the client's TLS 1.3 handshake." ws websockets openssl
record rec-tls-plain-to-tls-port "$at_client" "The client speaks \`ws://\` to the TLS port of nginx, which answers 400 and says so." ws nginx openssl
record rec-tls-plain-to-silent-tls-port "$at_client" "The client speaks \`ws://\` to a port where node speaks TLS; node hangs up without an alert, so that the packets alone cannot tell this from any other server that hangs up." ws openssl
record rec-tls12-clean "$at_client" "Nothing is wrong: a message echoed inside TLS 1.2, closed by the client with 1000." ws openssl
record rec-tls12-no-close-frame "$at_client" "Inside TLS 1.2 the server calls \`terminate()\`: TCP ends without a Close frame, and the client's API reports 1006." ws openssl
record rec-tls13-clean "$at_client" "Nothing is wrong: a message echoed inside TLS 1.3, closed by the client with 1000." ws openssl
record rec-tls13-no-close-frame "$at_client" "Inside TLS 1.3 the server calls \`terminate()\`: TCP ends without a Close frame, and the client's API reports 1006." ws openssl
record rec-tls-http2 "$at_client" "Nothing is wrong: a WebSocket over HTTP/2 (extended CONNECT) inside TLS 1.3; a message echoed, closed by the client with 1000, then the client ends the HTTP/2 connection. (Hypercorn's API reports 1006 although it answered the Close.)" http2 hypercorn openssl
record demo "$at_proxy" "Four connections through one nginx: \`/good/feed\` works and is closed with 1000; \`/chat\` is in a location without upgrade headers; the backend terminates \`/good/terminate\` without a Close; \`/timeout/feed\` falls silent and nginx cuts it after \`proxy_read_timeout 2s\`." ws nginx
