FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Optional ones stay in: the native bcrypt and argon2 come as such.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json ./
COPY src src
RUN npm run build

# Not in the mirror's image: the stand-in for ECR, to try the mirror without AWS (docker compose up try).
FROM build AS stand-in
COPY test/ecr test/ecr
RUN npx tsc -p test/ecr
USER 65532:65532
ENTRYPOINT ["node", "/app/dist/test/ecr/main.js"]

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="ecr-mirror" \
      org.opencontainers.image.description="An authenticating registry mirror for Amazon ECR" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN rm -rf /opt/yarn* /usr/local/lib/node_modules \
      /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg \
 && mkdir /etc/ecr-mirror \
 && install --directory --owner=65532 --group=65532 --mode=700 /var/cache/ecr-mirror
ENV NODE_ENV=production
WORKDIR /app
COPY LICENSE package.json ./
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist

# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Registry; /livez and /readyz, which listen on the loopback unless ECR_MIRROR_OPERATIONS_LISTEN says otherwise.
EXPOSE 5000 5001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "/app/dist/main.js", "healthcheck"]
# Reads /etc/ecr-mirror/mirror.yaml where it is mounted; the environment alone will do as well.
ENTRYPOINT ["node", "/app/dist/main.js"]
CMD ["serve"]
