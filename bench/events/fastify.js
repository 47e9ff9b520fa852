// The peer: Fastify as its documentation starts it, stringifying the events of a file from memory. node fastify.js PORT FILE
'use strict'
const fs = require('fs')
const path = require('path')
const fastify = require(path.resolve(process.env.BENCH_NODE, 'node_modules', 'fastify'))({ logger: false })

const page = JSON.parse(fs.readFileSync(process.argv[3], 'utf8'))
fastify.get('/api/events', async () => page)
fastify.listen({ port: Number(process.argv[2]), host: '127.0.0.1' })
