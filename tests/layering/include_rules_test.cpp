#include "tests/layering/include_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/layering/strip_comments.h"

namespace retape::layering {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const fs::path kRoot = RETAPE_SOURCE_DIR;

bool is_source(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh";
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The top-level folders that the build enters, tests aside: tests may include anything.
std::vector<fs::path> product_folders() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(kRoot)) {
    if (entry.is_directory() && entry.path().filename() != "tests" && fs::exists(entry.path() / "CMakeLists.txt")) {
      folders.push_back(entry.path());
    }
  }
  return folders;
}

TEST(Layering, TheTreeKeepsTheRules) {
  std::vector<std::string> read_paths;
  for (const fs::path& folder : product_folders()) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!is_source(entry.path())) {
        continue;
      }
      const std::string path = fs::relative(entry.path(), kRoot).generic_string();
      read_paths.push_back(path);
      for (const std::string& violation : violations(path, read(entry.path()))) {
        ADD_FAILURE() << violation;
      }
    }
  }
  EXPECT_THAT(read_paths, ::testing::IsSupersetOf({"nn/base/error.h", "nn/tensor/shape.cpp"}));
}

TEST(Layering, IncludesPointDown) {
  EXPECT_THAT(violations("nn/ops/gelu.cpp", "#include \"nn/autograd/tape.h\"\n#include <vector>\n"), IsEmpty());
  EXPECT_THAT(violations("nn/ops/gelu.cpp", "#include <vector>\n#include \"nn/layers/linear.h\"\n"),
              ElementsAre("nn/ops/gelu.cpp:2: nn/ops may not include nn/layers/linear.h"));
  EXPECT_THAT(violations("nn/ops/gelu.cpp", "  #  include <nn/layers/linear.h>  // angles change nothing"),
              ElementsAre(HasSubstr("nn/ops may not include")));
}

TEST(Layering, KnowsEveryLayer) {
  EXPECT_TRUE(may_include("trainer", "nn/base"));
  EXPECT_TRUE(may_include("trainer", "data"));
  EXPECT_TRUE(may_include("checkpointing", "nn/optim"));
  EXPECT_TRUE(may_include("data", "nn/tensor"));
  for (const auto& [layer, other] : std::vector<std::pair<std::string, std::string>>{{"nn/base", "nn/runtime"},
                                                                                     {"nn/kernels", "nn/autograd"},
                                                                                     {"nn/layers", "nn/optim"},
                                                                                     {"nn/optim", "parallel"},
                                                                                     {"parallel", "checkpointing"},
                                                                                     {"checkpointing", "trainer"},
                                                                                     {"checkpointing", "data"},
                                                                                     {"data", "nn/kernels"},
                                                                                     {"data", "trainer"}}) {
    EXPECT_FALSE(may_include(layer, other)) << layer << " -> " << other;
  }
}

TEST(Layering, QuotedIncludesStartAtTheRoot) {
  EXPECT_THAT(violations("nn/ops/gelu.cpp", "#include \"gelu.h\""), ElementsAre(HasSubstr("path from the root")));
  EXPECT_THAT(violations("nn/ops/gelu.cpp", "#include \"../base/error.h\""), ElementsAre(HasSubstr("\"../base")));
  EXPECT_THAT(violations("nn/ops/gelu.cpp", "#include \"tests/support/ranks.h\""), ElementsAre(HasSubstr("a layer")));
}

TEST(Layering, SourcesBelongToALayer) {
  EXPECT_THAT(violations("nn/misc/all.h", ""), ElementsAre("nn/misc/all.h:1: belongs to no layer"));
  EXPECT_EQ(layer_of("nn/opsy/gelu.h"), "");
}

TEST(Layering, LibrariesStayInTheirFolders) {
  struct Case {
    const char* include;
    const char* allowed;
  };
  for (const Case& c : {Case{"#include <dnnl.hpp>", "nn/kernels/cpu/matmul.cpp"},
                        Case{"#include <oneapi/dnnl/dnnl.hpp>", "nn/runtime/cpu/context.cpp"},
                        Case{"#include <cuda_runtime.h>", "nn/runtime/cuda/device.cpp"},
                        Case{"#include <cuda_runtime.h>", "parallel/comm/nccl/group.cpp"},
                        Case{"#include <cublasLt.h>", "nn/kernels/cuda/matmul.cu"},
                        Case{"#include <nccl.h>", "parallel/comm/nccl/group.cpp"},
                        Case{"#include <mpi.h>", "parallel/comm/mpi/group.cpp"},
                        Case{"#include <toml++/toml.h>", "trainer/config.cpp"}}) {
    EXPECT_THAT(violations(c.allowed, c.include), IsEmpty());
    EXPECT_THAT(violations("parallel/comm/thread/group.cpp", c.include), ElementsAre(HasSubstr("belongs under")));
    EXPECT_THAT(violations("data/tokens.cpp", c.include), ElementsAre(HasSubstr("belongs under")));
  }
}

TEST(Layering, NoConditionChoosesABackend) {
  for (const char* condition : {"#ifdef USE_CUDA", "#ifndef __CUDACC__", "#if defined(RETAPE_GPU)", "#elif HAVE_MPI",
                                "#if __has_include(<nccl.h>)", "#if 1 && \\\n  defined(ONEDNN_VERSION)"}) {
    EXPECT_THAT(violations("nn/runtime/device.cpp", condition), ElementsAre(HasSubstr("may choose a backend")))
        << condition;
  }
  for (const char* condition :
       {"#if HWY_ONCE", "#ifdef __AVX512BF16__", "#ifndef NDEBUG", "#if COMPILER_VERSION > 3"}) {
    EXPECT_THAT(violations("nn/runtime/device.cpp", condition), IsEmpty()) << condition;
  }
  EXPECT_THAT(violations("nn/kernels/cpu/matmul.cpp", "#if DNNL_VERSION_MAJOR >= 3"), IsEmpty());
}

TEST(Layering, CommentsAndStringsAreNotCode) {
  const std::string text = R"text(
// #include "nn/layers/linear.h"
/* said nothing:
#include "nn/layers/linear.h"
*/
const char* help = R"(
#include "nn/layers/linear.h"
every data/*.bin)";
const char* glob = "data/*.bin";
constexpr int kMillion = 1'000'000;  /* " */
#include "nn/layers/linear.h"
)text";
  EXPECT_THAT(violations("nn/ops/gelu.cpp", text),
              ElementsAre("nn/ops/gelu.cpp:11: nn/ops may not include nn/layers/linear.h"));
  EXPECT_EQ(strip_comments("a = '\"'; // b\nc"), "a = '\"';     \nc");
}

}  // namespace
}  // namespace retape::layering
