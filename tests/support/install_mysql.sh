#!/bin/sh -e
# Puts a current MySQL server into a folder, for tests: usage: install_mysql.sh FOLDER
#
# Nothing is installed on the machine: the packages of Debian unstable come from the mirror that apt is configured with,
# and are only unpacked. The server then runs with the loader and the libraries of these packages, since those of the
# machine are usually too old. Afterwards FOLDER/mysqld starts the server.
folder=$1
[ -n "$folder" ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
[ ! -x "$folder/mysqld" ] || exit 0

mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/apt/empty" "$folder/root"
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -E '/debian/?$' | sort -u | head -n 1)
keyring=$(ls /usr/share/keyrings/debian-archive-keyring.* | head -n 1)
[ -n "$mirror" ] && [ -n "$keyring" ] || { echo "apt has no mirror of Debian" >&2; exit 1; }
echo "deb [signed-by=$keyring] $mirror sid main" > "$folder/apt/sources.list"
: > "$folder/apt/status"
cat > "$folder/apt/apt.conf" <<CONFIG
Dir::Etc::sourcelist "$folder/apt/sources.list";
Dir::Etc::sourceparts "$folder/apt/empty";
Dir::Etc::preferencesparts "$folder/apt/empty";
Dir::State "$folder/apt";
Dir::State::lists "$folder/apt/lists";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt/cache";
APT::Sandbox::User "root";
CONFIG
export APT_CONFIG="$folder/apt/apt.conf"
apt-get update -qq >&2
apt-get install -qq -y --download-only --no-install-recommends mysql-server-core >&2
for package in "$folder"/apt/cache/archives/*.deb; do dpkg -x "$package" "$folder/root"; done
rm -rf "$folder/apt"

libraries=$(dirname "$(find "$folder/root/usr/lib" -name 'ld-linux-*.so.*' | head -n 1)")
loader=$(ls "$libraries"/ld-linux-*.so.* | head -n 1)
cat > "$folder/mysqld" <<SCRIPT
#!/bin/sh
exec $loader --library-path $libraries:$folder/root/usr/lib/mysql/private $folder/root/usr/sbin/mysqld "\$@"
SCRIPT
chmod +x "$folder/mysqld"
