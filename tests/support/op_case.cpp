#include "tests/support/op_case.h"

namespace retape::nn {

OpInput activation(std::string_view name, const Shape& shape, double scale) {
  return {.name = name, .kind = OpInput::Kind::activation, .shape = shape, .scale = scale};
}

OpInput parameter(std::string_view name, const Shape& shape, double scale) {
  return {.name = name, .kind = OpInput::Kind::parameter, .shape = shape, .scale = scale};
}

OpInput indices(std::string_view name, const Shape& shape, std::int64_t below) {
  return {.name = name, .kind = OpInput::Kind::index, .shape = shape, .below = below};
}

OpInput around(double mean, OpInput input) {
  input.mean = mean;
  return input;
}

std::string op_case_name(const testing::TestParamInfo<OpCaseParam>& info) {
  return fmt::format("{}_{}", info.param.op_case.name, name(info.param.dtype));
}

std::ostream& operator<<(std::ostream& out, const OpCaseParam& param) {
  return out << param.op_case.name << " in " << name(param.dtype);
}

std::string op_error_name(const testing::TestParamInfo<OpErrorCase>& info) {
  return info.param.name;
}

std::ostream& operator<<(std::ostream& out, const OpErrorCase& error_case) {
  return out << error_case.name;
}

}  // namespace retape::nn
