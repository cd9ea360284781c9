/* SPDX-License-Identifier: Apache-2.0 */
/* api/match: which path fits which pattern, and what stands at its holes. */
#include "test.h"

#include "api/match.h"

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool fits;
		const char *first, *second;
	} cases[] = {
		{"/a", "/a", true, "", ""},
		{"/a", "/a/", false, "", ""},
		{"/a", "/", false, "", ""},
		{"/a", "", false, "", ""},
		{"/a", "/ab", false, "", ""},
		{"/a/{}", "/a/b", true, "b", ""},
		{"/a/{}", "/a/", false, "", ""},
		{"/a/{}", "/a", false, "", ""},
		{"/a/{}", "/a/b/c", false, "b", ""},
		{"/a/{}", "/a/b/", false, "b", ""},
		{"/a/{}", "/a/12345678", false, "", ""},
		{"/a/{}", "/a/1234567", true, "1234567", ""},
		{"/a/{}", "/a/{}", true, "{}", ""},
		{"/a/{}/c", "/a/b/c", true, "b", ""},
		{"/a/{}/c", "/a/b/d", false, "b", ""},
		{"/a/{}/c", "/a/b", false, "b", ""},
		{"/a/{}/c", "/a//c", false, "", ""},
		{"/a/{}/c/{}", "/a/b/c/d", true, "b", "d"},
		{"/a/{}/c/{}", "/a/b/c/", false, "b", ""},
		{"/a/{}/c/{}", "/a/b/c", false, "b", ""},
		{"/a/{}/c/{}", "/a/b/c/1234", false, "b", ""},
		{"/a/{}/c/{}", "/a/b/c/d/e", false, "b", "d"},
		{"/a/{+}", "/a/b", true, "b", ""},
		{"/a/{+}", "/a/b/c//", true, "b/c//", ""},
		{"/a/{+}", "/a//", true, "/", ""},
		{"/a/{+}", "/a/", false, "", ""},
		{"/a/{+}", "/a/b/345678", false, "", ""},
		{"/a/{}/{+}", "/a/b/c/d", true, "b", "c/d"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char first[8] = "before", second[4] = "bef";
		const struct match_hole holes[] = {{first, sizeof(first)},
						   {second, sizeof(second)}};

		if (match_path(cases[i].pattern, cases[i].path, holes) != cases[i].fits)
			fail_msg("%s, %s", cases[i].pattern, cases[i].path);
		assert_string_equal(first, cases[i].first);
		assert_string_equal(second, cases[i].second);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_patterns)};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
