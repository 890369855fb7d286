#!/usr/bin/env bash
# Makes the certificates of the TLS recordings anew: certificates.sh FOLDER
#
# A certificate authority that the clients trust (ca.pem) and, for the server, NAME.pem with NAME.key: good, expired and
# other-host are signed by it, self-signed is not. None of them leaves the folder, which is a temporary one.
set -euo pipefail
cd "$1"

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
request() { key "$1"; openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"; }
san() { printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:%s\n' "$1" >"$1.ext"; }

mkdir -p issued && : >index.txt && echo 1000 >serial
cat >ca.cnf <<CONFIG
[ca]
default_ca = authority
[authority]
dir = .
database = ./index.txt
serial = ./serial
new_certs_dir = ./issued
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
CONFIG
sign() { # NAME HOST FROM UNTIL
    request "$1" "$2"; san "$2"
    openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in "$1.csr" -out "$1.pem" \
        -startdate "$3" -enddate "$4" -extfile "$2.ext"
}

{
    key ca
    openssl req -x509 -new -key ca.key -subj "/CN=Authority of the recordings" -days 3650 -out ca.pem \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    sign good feed.test 20240101000000Z 20491231000000Z
    sign expired feed.test 20240101000000Z 20240401000000Z
    sign other-host shop.test 20240101000000Z 20491231000000Z
    key self-signed
    openssl req -x509 -new -key self-signed.key -subj /CN=feed.test -days 3650 -out self-signed.pem -addext subjectAltName=DNS:feed.test
} 2>openssl.log || { cat openssl.log >&2; exit 1; }
