import { clone, createFileRegistry, type DescService } from "@bufbuild/protobuf";
import {
  type FieldDescriptorProto,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import {
  file_statehouse_v1_statehouse,
  StatehouseService,
} from "../generated/statehouse/v1/statehouse_pb.js";
import { checkObject, decodeStruct, encodeStruct } from "./struct-value.js";

/** A value as the messages of one form of the service have it. */
export interface ValueForm {
  readonly service: DescService;
  /** The JSON text of a value that came in. @throws DaybookError invalid_state */
  read(value: unknown): string;
  write(text: string): unknown;
}

/** In JSON a Struct is a plain object; the library has parsed it already. */
export const JSON_FORM: ValueForm = {
  service: StatehouseService,
  read: (value) => JSON.stringify(checkObject(value)),
  write: (text) => JSON.parse(text) as unknown,
};

/** In binary a message is bytes with a length, so a Struct can be taken as bytes and read by our own rules. */
export const BINARY_FORM: ValueForm = {
  service: withStructsAsBytes(),
  read: (value) => decodeStruct(value as Uint8Array),
  write: encodeStruct,
};

function withStructsAsBytes(): DescService {
  const file = clone(FileDescriptorProtoSchema, file_statehouse_v1_statehouse.proto);
  file.dependency = [];
  for (const { field } of file.messageType) for (const one of field) asBytes(one);
  const service = createFileRegistry(file, () => undefined).getService(StatehouseService.typeName);
  if (service === undefined) throw new Error("broken invariant: the file has no service");
  return service;
}

function asBytes(field: FieldDescriptorProto): void {
  if (field.typeName !== ".google.protobuf.Struct") return;
  field.type = FieldDescriptorProto_Type.BYTES;
  field.typeName = "";
}
