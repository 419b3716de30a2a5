grep -q '^[^:]*:[^:]*:1001:' /etc/group || echo 'agent:x:1001:' >> /etc/group
if ! grep -q '^[^:]*:[^:]*:1001:' /etc/passwd; then
    name=agent
    if grep -q '^agent:' /etc/passwd; then name=agent1001; fi
    shell=/bin/sh
    if [ -x /bin/bash ]; then shell=/bin/bash; fi
    echo "$name:x:1001:1001::/home/$name:$shell" >> /etc/passwd
fi
home=$(grep '^[^:]*:[^:]*:1001:' /etc/passwd | head -n 1 | cut -d: -f6)
case $home in /?*) ;; *) echo "The account of uid 1001 has no home" >&2; exit 1 ;; esac
mkdir -p "$home"
chown 1001:1001 "$home"
