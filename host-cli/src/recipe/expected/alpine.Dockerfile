FROM docker.io/library/alpine:3.22
USER 0:0
ARG VERSION="1.2"
LABEL org.example/team="a b"
ENV GREETING="it's \"\$HOME\" \\"
RUN ["/bin/sh", "-ec", "if command -v apt-get >/dev/null; then\n    export DEBIAN_FRONTEND=noninteractive\n    apt-get update\n    apt-get install -y --no-install-recommends \"$@\"\n    rm -rf /var/lib/apt/lists/*\nelif command -v apk >/dev/null; then\n    apk add --no-cache \"$@\"\nelse\n    echo \"build.packages needs a base with apt-get or apk; use root_run\" >&2\n    exit 1\nfi\n", "packages", "jq", "g++"]
RUN ["/bin/sh", "-ec", "grep -q '^[^:]*:[^:]*:1001:' /etc/group || echo 'agent:x:1001:' >> /etc/group\nif ! grep -q '^[^:]*:[^:]*:1001:' /etc/passwd; then\n    name=agent\n    if grep -q '^agent:' /etc/passwd; then name=agent1001; fi\n    shell=/bin/sh\n    if [ -x /bin/bash ]; then shell=/bin/bash; fi\n    echo \"$name:x:1001:1001::/home/$name:$shell\" >> /etc/passwd\nfi\nhome=$(grep '^[^:]*:[^:]*:1001:' /etc/passwd | head -n 1 | cut -d: -f6)\ncase $home in /?*) ;; *) echo \"The account of uid 1001 has no home\" >&2; exit 1 ;; esac\nmkdir -p \"$home\"\nchown 1001:1001 \"$home\"\n"]
COPY --chown=1001:1001 ["copy/0", "\"/opt/\\$x y\""]
RUN ["/bin/sh", "-ec", "cat \u003c\u003cEND > /etc/note\n\"$VERSION\" \\\nEND"]
USER 1001:1001
RUN ["/bin/sh", "-ec", "echo \\\n  hello > ~/note"]
USER 0:0
