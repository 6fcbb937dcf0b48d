// SPDX-License-Identifier: LiLiQ-Rplus-1.1
//
// An S3 server on the loopback, with one account and one empty bucket.
//
//   node s3.js DIRECTORY     KEY and SECRET in the environment
//
// Prints its port once it listens.
'use strict';
const crypto = require('crypto'), fs = require('fs'), path = require('path');
const S3rver = require('s3rver');
const Account = require('s3rver/lib/models/account');
const Store = require('s3rver/lib/stores/filesystem');

for (const key of [...Account.registry.keys()]) Account.registry.get(key).revokeAccessKey(key);
new Account('1', 'test').createKeyPair(process.env.KEY, process.env.SECRET);

// S3 stores an object when all of it has come, or nothing; s3rver keeps what came before a cut.
Store.prototype.putObject = async function (object) {
    const chunks = [];
    for await (const chunk of object.content) chunks.push(chunk);
    const bytes = Buffer.concat(chunks), md5 = crypto.createHash('md5').update(bytes).digest('hex');
    const name = this.getResourcePath(object.bucket, object.key, 'object');
    fs.mkdirSync(path.dirname(name), { recursive: true });
    fs.writeFileSync(name, bytes);
    await this.putMetadata(object.bucket, object.key, object.metadata, md5);
    return { size: bytes.length, md5 };
};

new S3rver({
    address: '127.0.0.1', port: 0, silent: true, directory: process.argv[2],
    configureBuckets: [{ name: 'vault' }],
}).run().then(({ port }) => console.log(port), error => { console.error(error); process.exit(1); });
