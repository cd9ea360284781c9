/* SPDX-License-Identifier: Apache-2.0 */
/* Requests signed by botocore 1.44.5. Made by a script that, for each row, makes an AWSRequest of
 * the method, "http://127.0.0.1:7340" with path and query, headers and body, sets botocore.auth's
 * clock to 2026-11-22T06:30:00Z, calls SigV4Auth(Credentials(key, secret, token), "fis", region)
 * .add_auth(request), and prints the request's headers, with the Host that is signed. */
/* clang-format off */

static const struct access_key vector_keys[] = {
	{.id = "AKIAIOSFODNN7EXAMPLE",
	 .secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
	{.id = "ASIATOKEN",
	 .secret = "sEcReT+/=",
	 .session_token = "IQoJb3JpZ2luX2VjE//token+/=="},
	{.id = "KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK",
	 .secret = "ssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssssss"},
};

#define VECTORS_NOW 1795329000 /* 2026-11-22T06:30:00Z */

static const struct vector vectors[] = {
	{.name = "list", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=bddbc3a198791068bfaf7fb345403e17cba6ff5f6f3cc3eb0886b07230365aa2"},
	 }},
	{.name = "root", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=dfdf5c92a4ce1af172422b284f457b1702f6893bf55819277543404209d85597"},
	 }},
	{.name = "arn", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/tags/arn%3Aaws%3Afis%3Aus-east-1%3A000000000000%3Aexperiment-template%2FEXT1", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=d205e16df5c3e70484c6053d3024bef2fa0371be7f39fbe591efde6af02d4841"},
	 }},
	{.name = "odd path", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/actions/a%20b~c-d_e.f%2Bg%2Fh%25i%C3%BC!*'()", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=ece9d5aeb255e96fc1119d9d07d2efc23060519a28808a63136b361a652f90d8"},
	 }},
	{.name = "trailing slash", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments/", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=692c11d782a0399bb0b8bb3b71b95223c7579fbbf0789f6c44bee86c973bc245"},
	 }},
	{.name = "query", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "nextToken=a%3Db%26c%2F%2B&maxResults=5",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=47f48d485eb315f9044395c03fcf6a5eb5936738b60c5ddfa6cdcb759177d0ff"},
	 }},
	{.name = "repeated query", .key = 0, .region = "us-east-1",
	 .method = "DELETE", .raw_path = "/tags/arn%3Aaws%3Afis%3Aus-east-1%3A000000000000%3Aexperiment-template%2FEXT1", .raw_query = "tagKeys=b%20c&tagKeys=a%2B%C3%BC%2F~&tagKeys=a&tagKeys=B",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=18c84134ca2680f59f43e10153d11ab0deeb707b9b26a24f9bc28228261f7929"},
	 }},
	{.name = "empty values", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "b=&a&a=1&b",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=29e57c2f8fa1e3371e1cea0e82fe4d998f6087b5587fc1f0eab9934d382805c1"},
	 }},
	{.name = "names that sort by bytes", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "a-=1&a=2&a%20=3&A=4&a.=5&_=6",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=e151b814ea80fd57f36c923259070074efd7a123b095cdc0955c679ed7f72637"},
	 }},
	{.name = "start", .key = 0, .region = "us-east-1",
	 .method = "POST", .raw_path = "/experiments", .raw_query = "",
	 .body = "{\"clientToken\": \"t\", \"experimentTemplateId\": \"EXT1\"}",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"Content-Type", "application/json"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=content-type;host;x-amz-date, "
			"Signature=1f10295ae6d1ca77176fb79fc7f6c50e244fb231807af7d85cbad0e098e62a5d"},
		{"Content-Length", "52"},
	 }},
	{.name = "body that is not ASCII", .key = 0, .region = "us-east-1",
	 .method = "PATCH", .raw_path = "/experimentTemplates/EXT1", .raw_query = "",
	 .body = "{\"description\": \"\xc3\xbc\xe2\x82\xac\"}",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"Content-Type", "application/json"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=content-type;host;x-amz-date, "
			"Signature=6cb22dd1f80daa79106a64f8ca1f2659c05c7bb5b74d521d64726d5e34bfe7c7"},
		{"Content-Length", "24"},
	 }},
	{.name = "body's hash said", .key = 0, .region = "us-east-1",
	 .method = "POST", .raw_path = "/experiments", .raw_query = "",
	 .body = "{}",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"Content-Type", "application/json"},
		{"X-Amz-Content-SHA256", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date, "
			"Signature=f55c266a62fe8c4d709ab33f2a125121d2709e384f9d27faadd92396b78f513d"},
		{"Content-Length", "2"},
	 }},
	{.name = "blanks in headers", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Meta", "  a   b  c "},
		{"My-Header", "x\x09 y"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;my-header;x-amz-date;x-amz-meta, "
			"Signature=1f3f9e4e2e818768a18fd125c87d079a9fad37a259a51626b93578dfee00d23b"},
	 }},
	{.name = "empty header", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Meta", ""},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date;x-amz-meta, "
			"Signature=8b341662d9e9b922c9408d05a707bc101470e0a82334e199fbf05dca6080a5b7"},
	 }},
	{.name = "a header twice", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"My-Header", "two"},
		{"My-Header", "one  1"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;my-header;x-amz-date, "
			"Signature=6688904e1ec452821cef9811bfc69768eb47dc66bf4a6057269dd882a99b1a1d"},
	 }},
	{.name = "token", .key = 1, .region = "us-east-1",
	 .method = "GET", .raw_path = "/safetyLevers/default", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"X-Amz-Security-Token", "IQoJb3JpZ2luX2VjE//token+/=="},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=ASIATOKEN/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date;x-amz-security-token, "
			"Signature=37e8b8d1ccb3e064c32dbba802d314ebcc9598e8914d389cf4663b2f6283f49c"},
	 }},
	{.name = "long key", .key = 2, .region = "eu-central-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=KKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKKK/20261122/eu-central-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=92bf2e1476aac57a28f02bbc0372340835f550acaf7a50a4045353232399ece4"},
	 }},
};

/* Signed by the keys they name, and to be refused all the same. */
static const struct vector wrong_vectors[] = {
	{.name = "the region of others", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/eu-west-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=6217f6d1535cfe6b22b77a7bd09127e6ac66e3b8646c0c0e13a26e565d737ca4"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "not 'eu-west-1'"},
	{.name = "the service of others", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/sts/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=24ead14f9154445bb9066fb01ece75dd7f02d0816a4e932394c24c997cfaa731"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "correct service"},
	{.name = "a body that is not signed", .key = 0, .region = "us-east-1",
	 .method = "POST", .raw_path = "/experiments", .raw_query = "",
	 .body = "{}",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
			"Signature=561ed7fe045a0a21ca53bc687e1f7c887cb328592fb1ce438393b2561246fd09"},
		{"Content-Length", "2"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "x-amz-content-sha256"},
	{.name = "the hash of nothing", .key = 0, .region = "us-east-1",
	 .method = "POST", .raw_path = "/experiments", .raw_query = "",
	 .body = "{}",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Content-SHA256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-content-sha256;x-amz-date, "
			"Signature=dd3a4212c518ea589079e9f0613d837508bfd32ae2cbca159657414c76c7af73"},
		{"Content-Length", "2"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "x-amz-content-sha256"},
	{.name = "a token for a key without", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"X-Amz-Security-Token", "token"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date;x-amz-security-token, "
			"Signature=331ef3845babd406e2742b337ebe8ce497f2256ac7e9849d931206a4ae3d010a"},
	 },
	 .refused = ERROR_KEY_UNKNOWN, .says = "security token"},
	{.name = "no token for a key with one", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=ASIATOKEN/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=4356fb84bb4a7ff407e4691efe7fd7ef8bf7da2c8dbcf7bdd699138cd071c807"},
	 },
	 .refused = ERROR_KEY_UNKNOWN, .says = "security token"},
	{.name = "another token", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"X-Amz-Security-Token", "IQoJb3JpZ2luX2VjE//token+/=-"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=ASIATOKEN/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date;x-amz-security-token, "
			"Signature=344658d23ed02400e3cbe67631da95046a9145bcabe1d252d4564051e83c796c"},
	 },
	 .refused = ERROR_KEY_UNKNOWN, .says = "security token"},
	{.name = "a token and more", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"X-Amz-Security-Token", "IQoJb3JpZ2luX2VjE//token+/==="},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=ASIATOKEN/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date;x-amz-security-token, "
			"Signature=a99fa28ad05314bd9c39b859185c06e5bf8161caa3e587ac141dc10b4085e938"},
	 },
	 .refused = ERROR_KEY_UNKNOWN, .says = "security token"},
	{.name = "an unknown key", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIANOBODY/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=bddbc3a198791068bfaf7fb345403e17cba6ff5f6f3cc3eb0886b07230365aa2"},
	 },
	 .refused = ERROR_KEY_UNKNOWN, .says = "security token"},
	{.name = "a key known by its beginning", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPL/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=bddbc3a198791068bfaf7fb345403e17cba6ff5f6f3cc3eb0886b07230365aa2"},
	 },
	 .refused = ERROR_KEY_UNKNOWN, .says = "security token"},
	{.name = "another's secret", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=4356fb84bb4a7ff407e4691efe7fd7ef8bf7da2c8dbcf7bdd699138cd071c807"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "does not match the signature"},
	{.name = "a path to somewhere else", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/tags/x/../y", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=a277262e899a6bdd12e0d6ecda2130321f5af9bedf86be064df60a797cc99ef0"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "normal form"},
	{.name = "a path with a dot", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/./experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=bddbc3a198791068bfaf7fb345403e17cba6ff5f6f3cc3eb0886b07230365aa2"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "normal form"},
	{.name = "a path that ends in two dots", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments/..", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=dfdf5c92a4ce1af172422b284f457b1702f6893bf55819277543404209d85597"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "normal form"},
	{.name = "two slashes", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "//experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=bddbc3a198791068bfaf7fb345403e17cba6ff5f6f3cc3eb0886b07230365aa2"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "normal form"},
	{.name = "half a byte in the path", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments/%4", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=ffdc35a2eff99397a00f26d4f7f607cb98f7df3bbba2d03b57f789ef0c9d0e1a"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "begins no byte"},
	{.name = "half a byte in the query", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "a=%4",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=a644a217b72af5a6a2a30d844b8c316b24356ac1430b1bae41f9e18433a85eac"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "begins no byte"},
	{.name = "no byte in the query", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "%zz",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"X-Amz-Date", "20261122T063000Z"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=host;x-amz-date, "
			"Signature=7ac27a3c116ba076339b02269cd33cbd11fd6ad0767338f156bd5fa15e6c41ca"},
	 },
	 .refused = ERROR_SIGNATURE, .says = "begins no byte"},
	{.name = "a date header alone", .key = 0, .region = "us-east-1",
	 .method = "GET", .raw_path = "/experiments", .raw_query = "",
	 .body = "",
	 .headers = {
		{"Host", "127.0.0.1:7340"},
		{"User-Agent", "not signed"},
		{"Date", "Sun, 22 Nov 2026 06:30:00 -0000"},
		{"Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/fis/aws4_request"
			", SignedHeaders=date;host, "
			"Signature=2378f57696a46904f185b3d9e68baa5ed55f4e3e849a89b6be4448ffd95bf155"},
	 },
	 .refused = ERROR_SIGNATURE_INCOMPLETE, .says = "X-Amz-Date"},
};
/* clang-format on */
